"""One log line for each request that was answered or cut off."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable

import msgspec

from anvil_ctl.serving import logs
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request

log = logging.getLogger("anvil.access")

# Probes come every few seconds for ever; a line for each would bury the requests.
QUIET = frozenset({"/health", "/healthz", "/readyz", "/admin/status"})

_FLUSH_S = 0.1
_FLUSH_LINES = 256


def log_access(request: Request, exchange: Exchange) -> None:
    """Write the line through `logging`. It holds no header, no body and no credential."""
    if request.path in QUIET or not log.isEnabledFor(logging.INFO):
        return
    took = time.monotonic() - exchange.started_at
    log.info("request", extra={"fields": _fields(request, exchange, took)})


# A request that is over: at what Unix time, and after how many seconds.
_Ended = tuple[float, float, Request, Exchange]


class AccessLines:
    """The same lines as JSON, put together and written at once, up to 0.1 s later.

    A record, a lock and a system call for each request cost as much as routing it does, and many
    lines in a row are encoded in half the time. `flush` before the process ends; a process that is
    killed loses at most the last 0.1 s of lines.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._ended: list[_Ended] = []
        self._timer: asyncio.TimerHandle | None = None
        self._encoder = msgspec.json.Encoder()
        self._second = 0
        self._clock = ""

    def __call__(self, request: Request, exchange: Exchange) -> None:
        """Add a request's line."""
        if request.path in QUIET:
            return
        took = time.monotonic() - exchange.started_at
        self._ended.append((time.time(), took, request, exchange))
        if len(self._ended) >= _FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what waits. A log that can't be written to must not end requests."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ended:
            ended, self._ended = self._ended, []
            lines = self._encoder.encode_lines([self._line(each) for each in ended])
            with contextlib.suppress(OSError, ValueError):
                self._write(lines)

    def _line(self, ended: _Ended) -> dict[str, object]:
        at, took, request, exchange = ended
        return {
            "time": self._told(at),
            "level": "info",
            "logger": log.name,
            "message": "request",
            **_fields(request, exchange, took),
        }

    def _told(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second = second
            self._clock = logs.clock(second)
        return f"{self._clock}.{int(at % 1 * 1000):03d}Z"


def to_stderr() -> tuple[Callable[[Request, Exchange], None], Callable[[], None]]:
    """Where this process's access lines go, and what flushes them: JSON unless a person reads."""
    if sys.stderr.isatty():
        return log_access, lambda: None

    def write(data: bytes) -> None:
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    lines = AccessLines(write)
    return lines, lines.flush


def _fields(request: Request, exchange: Exchange, took: float) -> dict[str, object]:
    return {
        "request_id": exchange.request_id,
        "method": request.method,
        "path": request.path,
        "status": exchange.status,
        "ms": round(took * 1000, 1),
        "bytes": exchange.sent,
        **exchange.fields,
    }
