"""One timer for all the answers that are under way, however many deadlines they have."""

from __future__ import annotations

import asyncio
from typing import Protocol

# Between two looks nobody's silence is noticed, unless somebody expected to be due earlier.
PERIOD_S = 1.0


class Watched(Protocol):
    """Something that may fall silent for too long."""

    def due(self, now: float) -> float:
        """When to look again, having acted if it was late. Loop time."""


class Watch:
    """Looks at what is watched, at the latest when the first of it is due.

    A timer each, set and cancelled twice for every answer, costs more than looking at all of them
    once a second.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def add(self, watched: Watched, due: float) -> None:
        """Watch until `discard`."""
        self._watched.add(watched)
        if self._timer is None or due < self._next:
            self.expect(due)

    def discard(self, watched: Watched) -> None:
        """Watch no more."""
        self._watched.discard(watched)

    def expect(self, due: float) -> None:
        """Look by then."""
        if self._timer is None:
            self._look_at(min(due, self._loop.time() + PERIOD_S))
        elif due < self._next:
            self._timer.cancel()
            self._look_at(due)

    def _look_at(self, when: float) -> None:
        self._next = when
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        # A copy: whoever is late leaves the set.
        dues = [watched.due(now) for watched in list(self._watched)]
        if dues:
            self.expect(max(min(dues), now + 0.001))
