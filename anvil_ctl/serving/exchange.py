"""The answer to one request, written as its task decides it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from anvil_ctl.serving.chunks import HEADS, LONGEST
from anvil_ctl.serving.message import JSON, Headers, Reply, Request

_STATUS_LINES = {
    int(status): f"HTTP/1.1 {status} {status.phrase}\r\nx-request-id: ".encode()
    for status in HTTPStatus
}


class Wire(Protocol):
    """What an exchange needs of the connection that it is on."""

    @property
    def writable(self) -> bool:
        """False while the peer reads more slowly than we write."""

    @property
    def send(self) -> Callable[[bytes], object]:
        """Writes, never blocking; good until the exchange is told that the client has `left`."""

    def resumed(self) -> asyncio.Future[None]:
        """Done once the connection is writable again."""

    def completed(self, exchange: Exchange, *, keep: bool) -> None:
        """The answer is whole (`keep`: the connection may carry another), or was cut off."""


class Flow(Protocol):
    """A source of bytes that can be told to wait: an upstream connection."""

    def pause_reading(self) -> None:
        """Read nothing more."""

    def resume_reading(self) -> None:
        """Read on."""


class Exchange:
    """One answer: `reply` gives it whole, `start`, `write` and `end` give it in chunks.

    All of these only queue bytes; `drain` waits for a slow client.
    """

    __slots__ = (
        "_added", "_bodiless", "_chunked", "_close", "_event", "_fields", "_http10", "_notes",
        "_send", "_wire", "complete", "ended_at", "flow", "method", "path", "request_id", "sent",
        "started_at", "status",
    )  # fmt: skip

    def __init__(
        self, wire: Wire, request: Request, request_id: str, *, close: bool, started_at: float
    ) -> None:
        self._wire = wire
        self._send = wire.send
        self._bodiless = request.method == "HEAD"
        self._http10 = request.http10
        self._close = close
        self._chunked = False
        self._added = b""
        self._event: Callable[[bytes], bytes] | None = None
        self.method = request.method
        self.path = request.path
        self.request_id = request_id
        self.started_at = started_at
        self.ended_at = started_at
        self.status = 0
        self.sent = 0
        self.complete = False
        self.flow: Flow | None = None
        self._fields: dict[str, object] = {}
        self._notes: list[tuple[Callable[..., Mapping[str, object]], tuple[object, ...]]] = []

    def note(self, words: Callable[..., Mapping[str, object]], *facts: object) -> None:
        """Have `words(*facts)` among the `fields` from now on, put together when they are read.

        That is after the answer, for many at once (`Aftermath`). Until then the facts are kept: no
        texts of a request or an answer.
        """
        self._notes.append((words, facts))

    @property
    def fields(self) -> dict[str, object]:
        """What is told of this request in its access line, and by whoever counts."""
        if self._notes:
            notes, self._notes = self._notes, []
            for words, facts in notes:
                self._fields.update(words(*facts))
        return self._fields

    @property
    def started(self) -> bool:
        """Whether a status line has been written, so that no other can be."""
        return self.status != 0

    @property
    def writable(self) -> bool:
        """False while the client reads more slowly than we write."""
        return self._wire.writable

    def add(self, name: str, value: str) -> None:
        """A header of this one answer; those that many share are given to `reply` or `start`."""
        self._added += f"{name}: {_one_line(value)}\r\n".encode("latin-1", "replace")

    def add_lines(self, lines: bytes) -> None:
        """Headers of this one answer, as `header_lines` puts them."""
        self._added += lines

    def last(self) -> None:
        """Close the connection after this answer. Call before the answer begins."""
        self._close = True

    def reply(
        self, status: int, body: bytes, *, content_type: str = JSON, headers: Headers = ()
    ) -> None:
        """Send a whole answer."""
        if self._event is not None:
            self.status = status
            self.write(self._event(body))
            self.end()
            return
        head = self._head(status, headers)
        if status != HTTPStatus.NO_CONTENT:
            kind = content_type.encode("latin-1", "replace")
            head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n" % (head, kind, len(body))
        self._put(b"%b\r\n%b" % (head, b"" if self._bodiless else body))
        self._finish(keep=not self._close)

    def send(self, reply: Reply) -> None:
        """Send a whole answer that was decided elsewhere."""
        self.reply(reply.status, reply.body, content_type=reply.content_type, headers=reply.headers)

    def start(self, status: int, headers: Headers) -> None:
        """Begin an answer of unknown length. An HTTP/1.0 client gets one that closing ends."""
        if self._event is not None:
            self.status = status
            return
        self._chunked = not self._http10
        self._close = self._close or self._http10
        framed = b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"
        self._put(self._head(status, headers) + framed)

    def open(self, headers: Headers, event: Callable[[bytes], bytes]) -> None:
        """Begin a stream of events before it is known what it will say.

        `started` stays false. What comes then goes into this stream: that of `start` as it is
        written, and the body of a whole answer as the `event` that is made of it.
        """
        self.start(HTTPStatus.OK, headers)
        self.status = 0
        self._event = event

    @property
    def opened(self) -> bool:
        """Whether a stream of events has begun, be it that nothing is promised yet."""
        return self._event is not None

    def write(self, data: bytes) -> None:
        """Send one piece of the body, as one chunk in one write. Empty pieces are dropped."""
        if not data or self._bodiless:
            return
        if self._chunked:
            size = len(data)
            head = HEADS[size] if size < LONGEST else b"%x\r\n" % size
            data = b"".join((head, data, b"\r\n"))
        self.sent += len(data)
        self._send(data)

    def left(self) -> None:
        """The client is gone: nobody gets what is still written."""
        self._send = to_nobody

    async def drain(self) -> None:
        """Wait while the client reads more slowly than we write."""
        if not self._wire.writable:
            await self._wire.resumed()

    def end(self) -> None:
        """Finish a started answer properly."""
        if self._chunked and not self._bodiless:
            self._put(b"0\r\n\r\n")
        self._finish(keep=not self._close)

    def abort(self) -> None:
        """Close without the final chunk, so that the client can tell that something is missing."""
        if not self.complete:
            self.complete = True
            self.ended_at = time.monotonic()
            self._wire.completed(self, keep=False)

    def _head(self, status: int, headers: Headers) -> bytes:
        self.status = status
        line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\nx-request-id: " % status
        connection = b""
        if self._close:
            connection = b"connection: close\r\n"
        elif self._http10:
            connection = b"connection: keep-alive\r\n"
        request_id = self.request_id.encode("latin-1", "replace")
        shared = header_lines(tuple(headers)) if headers else b""
        return b"%b%b\r\n%b%b%b" % (line, request_id, connection, shared, self._added)

    def _put(self, data: bytes) -> None:
        self.sent += len(data)
        self._send(data)

    def _finish(self, *, keep: bool) -> None:
        self.complete = True
        self.ended_at = time.monotonic()
        self._wire.completed(self, keep=keep)


Handler = Callable[[Request, Exchange], Awaitable[None]]


@functools.lru_cache(maxsize=256)
def header_lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Headers as they are sent. A server sends the same few sets again and again."""
    lines = "".join(f"{name}: {_one_line(value)}\r\n" for name, value in headers)
    return lines.encode("latin-1", "replace")


def to_nobody(_data: bytes) -> None:
    """Where bytes go whose client has left."""


def _one_line(value: str) -> str:
    """A header value that can't end its line: a caller's text may be in it."""
    return value if value.isprintable() else "".join(c for c in value if c.isprintable())
