"""One log line for each request that was answered or cut off."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Sequence

import msgspec

from anvil_ctl.serving import logs
from anvil_ctl.serving.aftermath import Take, wall_clock
from anvil_ctl.serving.exchange import Exchange

log = logging.getLogger("anvil.access")

# Probes come every few seconds for ever; a line for each would bury the requests.
QUIET = frozenset({"/health", "/healthz", "/readyz", "/admin/status"})


def log_access(exchange: Exchange) -> None:
    """Write the line through `logging`. It holds no header, no body and no credential."""
    if exchange.path in QUIET or not log.isEnabledFor(logging.INFO):
        return
    log.info("request", extra={"fields": _told(exchange, {})})


class AccessLines:
    """The same lines as JSON, put together and written for many requests at once (`Aftermath`).

    A record, a lock and a system call for each request cost as much as routing it does.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._encoder = msgspec.json.Encoder()
        self._second = 0
        self._clock = ""

    def __call__(self, over: Sequence[Exchange]) -> None:
        """Write the lines. A log that can't be written to must not end requests."""
        offset = wall_clock()
        lines = [
            _told(
                exchange,
                {
                    "time": self._utc(exchange.ended_at + offset),
                    "level": "info",
                    "logger": log.name,
                    "message": "request",
                },
            )
            for exchange in over
            if exchange.path not in QUIET
        ]
        with contextlib.suppress(OSError, ValueError):
            self._write(self._encoder.encode_lines(lines))

    def _utc(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second = second
            self._clock = logs.clock(second)
        return f"{self._clock}.{int(at % 1 * 1000):03d}Z"


def to_stderr() -> Take:
    """Writes this process's access lines: as JSON, unless a person reads."""
    if sys.stderr.isatty():
        return _log_each

    def write(data: bytes) -> None:
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    return AccessLines(write)


def _log_each(over: Sequence[Exchange]) -> None:
    for exchange in over:
        log_access(exchange)


def _told(exchange: Exchange, first: dict[str, object]) -> dict[str, object]:
    """What is told of every request, behind `first`."""
    return {
        **first,
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "ms": logs.milliseconds(exchange.ended_at - exchange.started_at),
        "bytes": exchange.sent,
        **exchange.fields,
    }
