"""Request heads that were read before.

A client sends the same head again and again, but for its Content-Length. What such a head means
without that line is remembered, and who answers it, which halves the time from a request's first
byte to its task.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from anvil_ctl.serving.exchange import Handler
from anvil_ctl.serving.framing import NOBODY, Framed, read_head
from anvil_ctl.serving.message import Limits, Reply, Request

# A whole line with one plain number, not continued on the next one.
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})(?=\r\n[^ \t])", re.IGNORECASE)
_MAX_KEPT = 256
_MAX_SIZE = 4 << 10


# Who answers a request, or why it is refused; None where there is no request to speak of.
Verdict = Handler | Reply | None


class Heads:
    """Reads the heads of one server's clients, and asks its `gate` about them."""

    __slots__ = ("_gate", "_known", "_limits")

    def __init__(self, limits: Limits, gate: Callable[[Request], Reply | Handler]) -> None:
        self._limits = limits
        self._gate = gate
        self._known: dict[bytes, tuple[Framed, Handler]] = {}

    @property
    def kept(self) -> int:
        """How many heads are remembered."""
        return len(self._known)

    def read(self, raw: bytes) -> tuple[Framed, Verdict]:
        """Judge one complete head, as `framing.read_head` and the gate do.

        Only a head without a fault that is let in is remembered. It has one Content-Length; so
        another head that is the same without its first such line has one as well, and no fault.
        """
        line = _LENGTH.search(raw) if len(raw) <= _MAX_SIZE else None
        if line is None:
            return self._read(raw)
        rest = raw[: line.start()] + raw[line.end() :]
        known = self._known.get(rest)
        length = int(line[1])
        if known is not None and length <= self._limits.max_body:
            return msgspec.structs.replace(known[0], length=length), known[1]
        framed, verdict = self._read(raw)
        if verdict is None or isinstance(verdict, Reply):
            return framed, verdict
        if framed.fault is None and framed.length == length:
            if len(self._known) >= _MAX_KEPT:
                self._known.clear()
            self._known[rest] = framed, verdict
        return framed, verdict

    def _read(self, raw: bytes) -> tuple[Framed, Verdict]:
        framed = read_head(raw, self._limits)
        return framed, None if framed.request is NOBODY else self._gate(framed.request)
