"""How many requests one tier is sent at once, and who waits for a turn."""

from __future__ import annotations

import asyncio
import math

from anvil_ctl.upstream.failure import Failure, UpstreamError

# Not a failure of the tier: another may be free, and this one will be soon.
BUSY = Failure("busy", retry_after_s=1)


class Slots:
    """`most` requests at once (None: any number); `queue` more wait, the first come first served.

    `wait_s` is the longest wait, in seconds. Use from one event loop.
    """

    __slots__ = ("_free", "_queue", "_wait_s", "in_flight", "waiting")

    def __init__(self, most: int | None, queue: int, wait_s: float) -> None:
        self._free = None if most is None else asyncio.Semaphore(most)
        self._queue = queue
        self._wait_s = wait_s
        self.in_flight = 0
        self.waiting = 0

    async def enter(self, within_s: float = math.inf) -> None:
        """Take a slot. Raises UpstreamError with BUSY if the queue is full or the wait too long."""
        if self._free is not None:
            if self._free.locked():
                await self._wait(self._free, min(self._wait_s, within_s))
            else:
                await self._free.acquire()
        self.in_flight += 1

    def entered(self) -> bool:
        """Take a slot where there is any number of them; False says to `enter`."""
        if self._free is None:
            self.in_flight += 1
        return self._free is None

    def leave(self) -> None:
        """Give the slot back, in every exit."""
        self.in_flight -= 1
        if self._free is not None:
            self._free.release()

    async def _wait(self, free: asyncio.Semaphore, within_s: float) -> None:
        if self.waiting >= self._queue:
            raise UpstreamError(BUSY)
        self.waiting += 1
        try:
            async with asyncio.timeout(within_s):
                await free.acquire()
        except TimeoutError:
            raise UpstreamError(BUSY) from None
        finally:
            self.waiting -= 1
