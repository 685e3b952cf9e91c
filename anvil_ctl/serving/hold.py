"""Holding requests while what runs behind a server changes, and knowing when it is drained."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from types import TracebackType

from anvil_ctl.errors import AnvilError

log = logging.getLogger(__name__)


class HoldFullError(AnvilError):
    """A request may not wait, or no longer; the caller is told to retry after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait: requests, bytes of their bodies, seconds for each of them.

    After `silence_s` seconds the client of a stream is given a sign of life.
    """

    requests: int = 256
    size: int = 256 << 20
    age_s: float = 900.0
    silence_s: float = 10.0


DEFAULT = Bounds()
# Told to a client that may not wait, where nobody has said how long it will take.
_RETRY_S = 5


class Hold:
    """Counts requests in flight, and lets them wait while it is held.

    Used from one event loop only. `held`: new requests wait. A hold ends by itself after its
    `max_s`, because the command that asked for it may have been killed.
    """

    def __init__(self, bounds: Bounds = DEFAULT) -> None:
        self.bounds = bounds
        self.held = False
        self._open = asyncio.Event()
        self._empty = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        self._expected_at: float | None = None
        self.reason: str | None = None
        self.waiting = 0
        self.waiting_bytes = 0
        self.in_flight = 0
        # The exchanges that wait, as far as they said so: whoever cuts what runs spares them.
        self.waiters: set[object] = set()

    @property
    def expected_s(self) -> float | None:
        """Seconds until the hold is expected to end; None where nothing is known."""
        if self._expected_at is None:
            return None
        return max(0.0, self._expected_at - asyncio.get_running_loop().time())

    def hold(self, reason: str, max_s: float, expected_s: float | None = None) -> None:
        """Let new requests wait, for at most `max_s` seconds from now. Holding again extends."""
        if self._expiry is not None:
            self._expiry.cancel()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(max_s, self._expire, max_s)
        self._expected_at = None if expected_s is None else loop.time() + expected_s
        self.held = True
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
        self.reason = self._expected_at = None
        self.held = False
        self._open.set()

    def admitted(self) -> _Admission:
        """`async with hold.admitted():` around one request; HoldFullError where it may not wait."""
        return _Admission(self)

    async def drained(self, timeout_s: float) -> bool:
        """Wait until no admitted request is left; False if that takes over `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                # The counter may be up again by the time this task runs.
                while self.in_flight:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def _expire(self, max_s: float) -> None:
        log.warning("the hold %r was not released within %.0f s; released now", self.reason, max_s)
        self._expiry = None
        self.release()

    async def enter(self, size: int = 0) -> None:
        """Wait while held, then count one in; HoldFullError where it may not. See `leave`.

        `size` is how many bytes it keeps while it waits.
        """
        if self.held:
            await self._wait(size)
        self.in_flight += 1

    def entered(self) -> bool:
        """Count one in that needn't wait; False says to `enter`."""
        if not self.held:
            self.in_flight += 1
        return not self.held

    async def _wait(self, size: int) -> None:
        bounds = self.bounds
        if self.waiting >= bounds.requests or self.waiting_bytes + size > bounds.size:
            raise self._full("too many requests are waiting")
        self.waiting += 1
        self.waiting_bytes += size
        try:
            async with asyncio.timeout(bounds.age_s):
                # The event may be cleared again by the time this task runs.
                while self.held:
                    await self._open.wait()
        except TimeoutError:
            raise self._full(f"the request has waited for {bounds.age_s:.0f} s") from None
        finally:
            self.waiting -= 1
            self.waiting_bytes -= size

    def _full(self, what: str) -> HoldFullError:
        expected = self.expected_s
        retry = _RETRY_S if expected is None else max(1, math.ceil(expected))
        return HoldFullError(f"{self.reason}: {what}", retry_after_s=retry)

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
