"""Holding requests while what runs behind a server changes, and knowing when it is drained."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType

from anvil_ctl.errors import AnvilError

log = logging.getLogger(__name__)


class HoldFullError(AnvilError):
    """Too many requests already wait; the caller is told to retry after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Hold:
    """Counts requests in flight, and lets them wait while it is held.

    Used from one event loop only. A hold ends by itself after its `max_s`, because the command
    that asked for it may have been killed.
    """

    def __init__(self, *, max_waiting: int = 256) -> None:
        self._max_waiting = max_waiting
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._expiry: asyncio.TimerHandle | None = None
        self.reason: str | None = None
        self.waiting = 0
        self.in_flight = 0

    @property
    def held(self) -> bool:
        """Whether new requests wait."""
        return not self._open.is_set()

    def hold(self, reason: str, max_s: float) -> None:
        """Let new requests wait, for at most `max_s` seconds from now. Holding again extends."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(max_s, self._expire, max_s)
        self._open.clear()
        self.reason = reason
        log.info("holding new requests: %s (at most %.0f s)", reason, max_s)

    def release(self) -> None:
        """Let waiting and new requests through. Releasing what isn't held does nothing."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.held:
            log.info("released %d held requests: %s", self.waiting, self.reason)
        self.reason = None
        self._open.set()

    def admitted(self) -> _Admission:
        """`async with hold.admitted():` around one request; HoldFullError if too many wait."""
        return _Admission(self)

    async def drained(self, timeout_s: float) -> bool:
        """Wait until no admitted request is left; False if that takes over `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                # The event may be set and the counter up again by the time this task runs.
                while self.in_flight:
                    await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def _expire(self, max_s: float) -> None:
        log.warning("the hold %r was not released within %.0f s; released now", self.reason, max_s)
        self._expiry = None
        self.release()

    async def enter(self) -> None:
        """Wait while held, then count one in; HoldFullError if too many wait. See `leave`."""
        while self.held:
            if self.waiting >= self._max_waiting:
                raise HoldFullError("too many requests are waiting", retry_after_s=5)
            self.waiting += 1
            try:
                await self._open.wait()
            finally:
                self.waiting -= 1
        self.in_flight += 1
        self._empty.clear()

    def leave(self) -> None:
        """Count one out, in every exit."""
        self.in_flight -= 1
        if not self.in_flight:
            self._empty.set()


class _Admission:
    """One request's stay."""

    __slots__ = ("_hold",)

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    async def __aenter__(self) -> None:
        await self._hold.enter()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._hold.leave()
