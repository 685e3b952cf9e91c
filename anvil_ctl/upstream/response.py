"""An answer of an upstream as it arrives: its head, then its body, piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import httptools
import msgspec

from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.incoming import Incoming
from anvil_ctl.upstream.watch import PERIOD_S, Watch

if TYPE_CHECKING:
    from anvil_ctl.upstream.connection import Connection

# Takes a piece of the body; True means that it has enough for now.
Sink = Callable[[bytes], bool]

_MAX_WAITING = 256 << 10
# Before the end of a head that is more than any head, and what may come with it.
_MAX_BEGINNING = (64 << 10) + _MAX_WAITING


class Deadlines(msgspec.Struct, frozen=True):
    """How long to wait, in seconds: to connect, for the head, between bytes, and for all of it.

    `stale_s` after a request, a kept connection is no longer lost because it was closed at rest:
    that shows itself within a round trip of the write.
    """

    connect_s: float = 5.0
    first_byte_s: float = 20.0
    idle_s: float = 20.0
    total_s: float = math.inf
    stale_s: float = 1.0


class Response:
    """An answer as it arrives. Always `close` it: that cancels whatever the upstream still does.

    `status` and `headers` (lower-case names) are there once `head` has been awaited.
    """

    __slots__ = (
        "_at_end", "_chunked", "_closed", "_connection", "_error", "_headed", "_heard", "_held",
        "_incoming", "_last", "_limit", "_limits", "_loop", "_paused", "_pieces", "_sink", "_size",
        "_time", "_waiter", "_watch", "ended", "headers", "status",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        incoming: Incoming,
        loop: asyncio.AbstractEventLoop,
        limits: Deadlines,
        watch: Watch,
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._connection = connection
        self._incoming = incoming
        self._pieces = incoming.pieces
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._headed = False
        self._size = 0
        self._sink: Sink | None = None
        self._at_end: Callable[[], None] | None = None
        self._error: UpstreamError | None = None
        self._paused = False
        self._held = False
        self._closed = False
        self._chunked = False
        self._limits = limits
        self._limit = limits.first_byte_s
        self._time = loop.time
        self._heard = self._time()
        self._last = self._heard + limits.total_s
        self._watch = watch
        watch.add(self, self._heard + self._limit)

    # the caller's side

    def head(self) -> asyncio.Future[None]:
        """Await it for status and headers. Raises UpstreamError."""
        return self._arrival(there=self._headed)

    def pour(self, sink: Sink, at_end: Callable[[], None] | None = None) -> asyncio.Future[None]:
        """Hand each piece of the body to `sink` as it arrives, until it wants no more or all is in.

        `ended` tells which. `at_end` is called when all is in, in the same step of the loop as the
        last piece, so that what it writes leaves with that one. Awaiting it, which must be done,
        raises UpstreamError if the upstream breaks off or falls silent, and what the two raise.
        """
        if self._held:
            self._held = False
            self._set_reading()
        self._sink = sink
        self._at_end = at_end
        if self._pieces and sink(self._joined()):
            self._sink = None
            return self._arrival(there=True)
        # What arrived before anybody listened may have been the end of it, or wrong.
        if self.ended and self._error is None and at_end is not None:
            at_end()
        return self._arrival(there=self.ended)

    def divert(self, sink: Sink) -> None:
        """Hand what else arrives to another sink than the one that `pour` was given."""
        self._sink = sink
        if self._connection.sink is not None:
            self._connection.sink = sink

    async def read(self, cap: int) -> bytes:
        """The whole body. Raises UpstreamError if it is longer than `cap` bytes."""
        if self.ended and self._error is None:
            whole = b"".join(self._pieces)
            if len(whole) > cap:
                raise failed("too_large")
            return whole
        parts: list[bytes] = []
        size = 0

        def collect(data: bytes) -> bool:
            nonlocal size
            size += len(data)
            parts.append(data)
            return size > cap

        await self.pour(collect)
        if size > cap:
            raise failed("too_large")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def beginning(self, cap: int) -> bytes:
        """At most `cap` bytes of the body, and no error if it is longer or breaks off."""
        parts: list[bytes] = []

        def collect(data: bytes) -> bool:
            parts.append(data)
            return sum(map(len, parts)) >= cap

        with contextlib.suppress(UpstreamError):
            await self.pour(collect)
        return b"".join(parts)[:cap]

    def pause_reading(self) -> None:
        """Stop taking bytes, because the client doesn't keep up."""
        self._paused = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Take bytes again. The silence meanwhile was ours."""
        self._paused = False
        self._heard = self._loop.time()
        self._set_reading()

    def keep(self) -> None:
        """Stay open through any silence: no more deadlines."""
        self._watch.discard(self)

    def close(self) -> None:
        """Give up what is left of the answer. After its end this does nothing."""
        # By then the connection may already carry somebody else's answer.
        if not self._closed:
            self._leave(reusable=False)

    # the connection's side

    @property
    def just_asked(self) -> bool:
        """Whether nothing has come yet, within the time that a closed connection shows itself."""
        return not self._size and self._time() - self._heard <= self._limits.stale_s

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._heard = self._time()
        incoming = self._incoming
        if not self._headed:
            self._size += len(data)
            if self._size > _MAX_BEGINNING:
                self.fail(failed("malformed_http"))
                return
        try:
            incoming.feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            incoming.keep = False
            if not incoming.over:  # else the answer is whole; what follows it nobody asked for
                self.fail(failed("malformed_http"))
        if not self._headed and incoming.headed:
            self._begun()
        if self._pieces and not self._closed:
            if self._sink is not None:
                self._hand_on(self._sink, data)
            elif not incoming.over:
                self._hold_back()
        if incoming.over and not self._closed:
            self._end(reusable=incoming.keep)

    def enough(self) -> None:
        """The sink wants no more for now."""
        self._sink = self._connection.sink = None
        self._wake()

    def fail(self, error: UpstreamError) -> None:
        """The answer is no good from here on."""
        if self._error is None:
            self._error = error
        if not self._closed:
            self._leave(reusable=False)
        self._wake()

    def lost(self) -> None:
        """The connection is gone: the end of a body that has no other, or a failure."""
        delimited = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self._headed and not delimited and not self.ended:
            self._end(reusable=False)
        else:
            self.fail(failed("reset"))

    # inside

    def _begun(self) -> None:
        """The head is in."""
        self._headed = True
        self.status, self.headers = self._incoming.status, self._incoming.headers
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self._limit = self._limits.idle_s
        if self._limit < PERIOD_S:  # else it is looked at in time as it is
            self._watch.expect(self._heard + self._limit)
        self._wake()

    def _hand_on(self, sink: Sink, read: bytes) -> None:
        """Give the sink what a read has brought."""
        piece = self._pieces.pop() if len(self._pieces) == 1 else self._joined()
        try:
            if sink(piece):
                self.enough()
        except UpstreamError as error:
            self.fail(error)
        # Behind an event's empty line and a line break there is nothing of a chunk any more: from
        # here on the connection hands on by itself what needs no parser.
        if self._chunked and read.endswith(b"\n\n\r\n") and piece.endswith(b"\n\n"):
            self._connection.sink = self._sink

    def _joined(self) -> bytes:
        """The pieces that are there, in one."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

    def _hold_back(self) -> None:
        """Nobody takes the body yet: let the upstream wait rather than collect without end."""
        if not self._held and sum(map(len, self._pieces)) > _MAX_WAITING:
            self._held = True
            self._set_reading()

    def _set_reading(self) -> None:
        if self._closed:
            return
        if self._paused or self._held:
            self._connection.pause()
        else:
            self._connection.resume()

    def _arrival(self, *, there: bool) -> asyncio.Future[None]:
        """What is waited for; `there` already, if it is not an error that is."""
        self._waiter = waiter = self._loop.create_future()
        if there or self._error is not None:
            self._wake()
        return waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(self._error)

    def _end(self, *, reusable: bool) -> None:
        self.ended = True
        at_end = self._at_end
        self._leave(reusable=reusable and not self._paused and not self._held)
        try:
            if at_end is not None:
                at_end()
        except UpstreamError as error:
            self._error = error
        finally:
            self._wake()

    def _leave(self, *, reusable: bool) -> None:
        self._closed = True
        # Nobody has taken these yet, and the connection may be somebody else's from here on.
        self._pieces = self._pieces.copy()
        # These refer to this answer: without them it is freed at once, not by the collector.
        self._sink = None
        self._at_end = None
        self._watch.discard(self)
        self._connection.done(reusable=reusable)

    def due(self, now: float) -> float:
        """When the silence or all of it will have been too long; fails the answer if it has."""
        if self._connection.heard or self._paused:
            self._connection.heard = False
            self._heard = now
        silent = self._heard + self._limit
        if self._last <= now:
            self.fail(failed("total_timeout"))
        elif silent <= now:
            self.fail(failed("idle_timeout" if self._headed else "first_byte_timeout"))
        return min(silent, self._last)
