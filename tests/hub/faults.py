"""What can go wrong on the way, each a given number of times."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["stall", "cut", "flip", "slow", "refuse"]


@dataclass
class Fault:
    """Strikes answers for the file `path` at its byte `at`, at most `times` times.

    stall: nothing more comes; cut: the connection ends; flip: one byte differs; slow: `rate` bytes
    a second from there on; refuse: status 503.
    """

    kind: Kind
    path: str
    at: int = 0
    times: int = 1
    rate: int = 1 << 20
    # Set once it has struck.
    struck: threading.Event = field(default_factory=threading.Event)

    def applies(self, path: str, start: int, end: int) -> bool:
        return self.times > 0 and path == self.path and start <= self.at < max(end, start + 1)

    def strike(self) -> None:
        self.times -= 1
        self.struck.set()
