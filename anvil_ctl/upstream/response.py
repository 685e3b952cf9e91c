"""An answer of an upstream as it arrives: its head, then its body, piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import httptools
import msgspec

from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.watch import Watch

if TYPE_CHECKING:
    from anvil_ctl.upstream.connection import Connection

# Takes a piece of the body; True means that it has enough for now.
Sink = Callable[[bytes], bool]

_MAX_HEAD = 64 << 10
_MAX_WAITING = 256 << 10


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
        "_at_end", "_closed", "_connection", "_error", "_headed", "_heard", "_held", "_last",
        "_limit", "_limits", "_loop", "_over", "_parser", "_paused", "_pieces", "_reusable",
        "_sink", "_size", "_time", "_waiter", "_watch", "ended", "headers", "on_body", "status",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        limits: Deadlines,
        watch: Watch,
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._connection = connection
        self._loop = loop
        self._pieces: list[bytes] = []
        # httptools calls this for each piece of the body; a method of ours would only do the same.
        self.on_body = self._pieces.append
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._headed = False
        self._size = 0
        self._sink: Sink | None = None
        self._at_end: Callable[[], None] | None = None
        self._error: UpstreamError | None = None
        self._paused = False
        self._held = False
        self._over = False
        self._closed = False
        self._reusable = False
        self._limits = limits
        self._limit = limits.first_byte_s
        self._time = loop.time
        self._heard = loop.time()
        self._last = self._heard + limits.total_s
        self._watch = watch
        watch.add(self, self._heard + self._limit)

    # the caller's side

    async def head(self) -> None:
        """Wait for status and headers. Raises UpstreamError."""
        if not self._headed:
            await self._wait()

    async def pour(self, sink: Sink, at_end: Callable[[], None] | None = None) -> None:
        """Hand each piece of the body to `sink` as it arrives, until it wants no more or all is in.

        `ended` tells which. `at_end` is called when all is in, in the same step of the loop as the
        last piece, so that what it writes leaves with that one. Raises UpstreamError if the
        upstream breaks off or falls silent, and what the two raise.
        """
        if self._held:
            self._held = False
            self._set_reading()
        if self._pieces and sink(self._joined()):
            return
        self._sink = sink
        self._at_end = at_end
        # What arrived before anybody listened may have been the end of it, or wrong.
        if not self.ended or self._error is not None:
            await self._wait()
        elif at_end is not None:
            at_end()

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
        if not self._headed:
            self._first(len(data))
        parser = self._parser
        if parser is None:
            return
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._over:
                self._fail(failed("malformed_http"))
                return
            self._reusable = False  # the answer is whole; what follows it nobody asked for
        pieces = self._pieces
        if pieces:
            sink = self._sink
            if sink is None:
                self._hold_back()
            else:
                try:
                    if sink(pieces.pop() if len(pieces) == 1 else self._joined()):
                        self._sink = None
                        self._wake()
                except UpstreamError as error:
                    self._fail(error)
        if self._over and not self._closed:
            self._end(reusable=self._reusable)

    def lost(self) -> None:
        """The connection is gone: the end of a body that has no other, or a failure."""
        delimited = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self._headed and not delimited and not self.ended:
            self._end(reusable=False)
        else:
            self._fail(failed("reset"))

    # httptools' side

    def on_message_begin(self) -> None:
        if self._over:
            raise httptools.HttpParserError("a second answer: none of it is read")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:
            return  # a trailer: nobody looks at it, and there may be any number
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = cast("httptools.HttpResponseParser", self._parser).get_status_code()
        if self.status >= 200:
            self._headed = True
            self._limit = self._limits.idle_s
            self._watch.expect(self._heard + self._limit)
            self._wake()

    def on_message_complete(self) -> None:
        if self.status < 200:
            self.headers.clear()
        else:
            self._over = True
            parser = self._parser
            self._reusable = parser is not None and parser.should_keep_alive()

    # inside

    def _first(self, size: int) -> None:
        self._size += size
        if self._size > _MAX_HEAD + _MAX_WAITING:
            self._fail(failed("malformed_http"))

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

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        await self._waiter
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

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

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None:
            self._error = error
        if not self._closed:
            self._leave(reusable=False)
        self._wake()

    def _leave(self, *, reusable: bool) -> None:
        self._closed = True
        # These refer to this answer: without them it is freed at once, not by the collector.
        self._parser = None
        self._sink = None
        self._at_end = None
        self._watch.discard(self)
        self._connection.done(reusable=reusable)

    def due(self, now: float) -> float:
        """When the silence or all of it will have been too long; fails the answer if it has."""
        silent = (now if self._paused else self._heard) + self._limit
        if self._last <= now:
            self._fail(failed("total_timeout"))
        elif silent <= now:
            self._fail(failed("idle_timeout" if self._headed else "first_byte_timeout"))
        return min(silent, self._last)
