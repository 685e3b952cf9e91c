"""What can go wrong on the way, each a given number of times."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["stall", "cut", "flip", "slow", "refuse"]
# How content is reached: by address and range; or by Xet, through the hub's route that gives tokens,
# the CAS that says what a file consists of, and the xorbs that hold it.
Way = Literal["plain", "token", "cas", "xorb"]


@dataclass
class Fault:
    """Strikes answers for the file `path` at its byte `at`, at most `times` times.

    stall: nothing more comes; cut: the connection ends; flip: one byte differs; slow: `rate` bytes
    a second from there on; refuse: the answer is `status`. On the ways `token` and `cas`, where
    nothing of a file is sent, there is only `refuse`, and `stall` before the answer; for `token`
    the path is the repository's name.
    """

    kind: Kind
    path: str
    at: int = 0
    times: int = 1
    rate: int = 1 << 20
    way: Way = "plain"
    status: int = 503
    # Set once it has struck.
    struck: threading.Event = field(default_factory=threading.Event)

    def applies(self, path: str, start: int, end: int, way: Way = "plain") -> bool:
        there = start <= self.at < max(end, start + 1)
        return self.times > 0 and way == self.way and path == self.path and there

    def strike(self) -> None:
        self.times -= 1
        self.struck.set()
