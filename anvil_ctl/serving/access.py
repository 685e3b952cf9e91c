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
    log.info("request", extra={"fields": _fields(request, exchange)})


class AccessLines:
    """The same lines as JSON, encoded at once and written together up to 0.1 s later.

    A record, a lock and a system call for each request cost as much as routing it does. `flush`
    before the process ends; a process that is killed loses at most the last 0.1 s of lines.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._clock = ""

    def __call__(self, request: Request, exchange: Exchange) -> None:
        """Add a request's line."""
        if request.path in QUIET:
            return
        line = {
            "time": self._now(),
            "level": "info",
            "logger": log.name,
            "message": "request",
            **_fields(request, exchange),
        }
        self._lines.append(msgspec.json.encode(line))
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what waits. A log that can't be written to must not end requests."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            lines, self._lines = [*self._lines, b""], []
            with contextlib.suppress(OSError, ValueError):
                self._write(b"\n".join(lines))

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._clock = logs.clock(second)
        return f"{self._clock}.{int(now % 1 * 1000):03d}Z"


def to_stderr() -> tuple[Callable[[Request, Exchange], None], Callable[[], None]]:
    """Where this process's access lines go, and what flushes them: JSON unless a person reads."""
    if sys.stderr.isatty():
        return log_access, lambda: None

    def write(data: bytes) -> None:
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    lines = AccessLines(write)
    return lines, lines.flush


def _fields(request: Request, exchange: Exchange) -> dict[str, object]:
    took = exchange.ended_at - exchange.started_at
    return {
        "request_id": exchange.request_id,
        "method": request.method,
        "path": request.path,
        "status": exchange.status,
        "ms": round(took * 1000, 1),
        "bytes": exchange.sent,
        **exchange.fields,
    }
