"""How far everything is, a few times a second, for whoever shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from anvil_ctl.transfer.wire import Send

_EVERY_S = 0.25


class Meter:
    """Bytes of each file and in all; sends `progress` lines from a thread of its own."""

    def __init__(self, send: Send, total: int, what: str = "move") -> None:
        self._send, self._total, self._what = send, total, what
        self._lock = threading.Lock()
        self._files: dict[str, list[int]] = {}
        self._done = 0
        self._moved = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    @property
    def moved(self) -> int:
        """Bytes that were brought: what was there already is none of them."""
        return self._moved

    def at(self, name: str, position: int, size: int) -> None:
        """Say how much of a file is there; what was there has not moved."""
        with self._lock:
            entry = self._files.setdefault(name, [0, size])
            self._done += position - entry[0]
            entry[0] = position

    def counting(self, name: str, *, moves: bool = True) -> Callable[[int], None]:
        """A counter for the bytes that a file gets, or loses where they are negative.

        `moves` is whether they are brought, and not only read.
        """
        entry = self._files[name]

        def count(change: int) -> None:
            with self._lock:
                entry[0] += change
                self._done += change
                self._moved += max(change, 0) if moves else 0

        return count

    def finished(self, name: str) -> None:
        """A file of which no more is shown."""
        with self._lock:
            self._files.pop(name, None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._say()

    def _tick(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self._say()

    def _say(self) -> None:
        with self._lock:
            active = [[name, done, size] for name, (done, size) in self._files.items() if done]
            done, moved = self._done, self._moved
        self._send(
            {
                "say": "progress",
                "what": self._what,
                "done": done,
                "total": self._total,
                "moved": moved,
                "files": active[:8],
                "at": time.monotonic(),
            }
        )
