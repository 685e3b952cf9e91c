"""What is done when requests are over, for many of them at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from anvil_ctl.serving.exchange import Exchange

Take = Callable[[Sequence[Exchange]], None]

_WITHIN_S = 0.1
_MOST = 64


class Aftermath:
    """Collects requests that are over and hands them to each of `takes`, at most 0.1 s later.

    Counting and writing up a request between the pieces of everybody's streams costs several times
    what it does for one after another: each time, all that it needs has left the processor's
    caches. `flush` before what it leads to is looked at, and before the process ends; a process
    that is killed loses the last 0.1 s.
    """

    def __init__(self, *takes: Take) -> None:
        self._takes = takes
        self._loop = asyncio.get_running_loop()
        self._over: list[Exchange] = []
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, exchange: Exchange) -> None:
        """Add one that is over."""
        self._over.append(exchange)
        if self._timer is None:
            self._timer = self._loop.call_later(_WITHIN_S, self.flush)
        elif len(self._over) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Hand on what there is, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._over:
            over, self._over = self._over, []
            for take in self._takes:
                take(over)


def wall_clock() -> float:
    """What to add to an exchange's times to have Unix seconds."""
    return time.time() - time.monotonic()
