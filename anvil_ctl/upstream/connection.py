"""One connection to an upstream: a request out, an answer in, then perhaps another."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from anvil_ctl.serving.chunks import HEADS_BY_LENGTH, LONGEST
from anvil_ctl.upstream.acknowledged import Acknowledged
from anvil_ctl.upstream.endpoint import Endpoint
from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.incoming import Incoming
from anvil_ctl.upstream.response import Deadlines, Response, Sink
from anvil_ctl.upstream.watch import Watch

if TYPE_CHECKING:
    from anvil_ctl.upstream.client import Pool

_LARGE = 16 << 10


class Connection(asyncio.Protocol):
    """One connection; the pool owns it between answers, a Response owns it during one."""

    def __init__(self, pool: Pool, endpoint: Endpoint, watch: Watch) -> None:
        self.origin = endpoint.origin
        self.reused = False
        self.may_repeat = False
        self.idle_since = 0.0
        self._pool = pool
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._incoming = Incoming()
        self._response: Response | None = None
        self._acknowledged = Acknowledged()
        self._repeatable = False
        # Takes the next chunk, if that comes as a read of its own; and whether any has come so.
        self.sink: Sink | None = None
        self.heard = False

    @property
    def alive(self) -> bool:
        """Whether a request can still be written."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acknowledged = Acknowledged(sock)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.may_repeat = self.reused and self._unheard(error)
        if self._response is not None:
            self._response.lost()
        else:
            self._pool.forget(self)

    def data_received(self, data: bytes) -> None:
        sink, length = self.sink, len(data)
        # What a slow engine's stream consists of: one event, as one chunk, in one read. Between two
        # of them memory goes cold, so that each function and each object on their way counts.
        if sink is not None and length < LONGEST and data.endswith(b"\n\n\r\n"):
            head = HEADS_BY_LENGTH[length]
            if data.startswith(head):
                self.heard = True
                try:
                    if sink(data[len(head) : -2]) and self._response is not None:
                        self._response.enough()
                except UpstreamError as error:
                    if self._response is not None:
                        self._response.fail(error)
                return
        self.sink = None
        response = self._response
        if response is None:
            self.abort()  # nobody asked: whatever this is, it isn't the next answer
        else:
            response.feed(data)

    def send(self, endpoint: Endpoint, body: bytes, headers: bytes, limits: Deadlines) -> Response:
        """Write a request, in one write, and return its answer to be."""
        self._incoming.begin()
        self.heard = False
        response = Response(self, self._incoming, self._loop, limits, self._watch)
        self._response = response
        self._repeatable = endpoint.repeatable
        if self._transport is None:
            self.may_repeat = True
            raise failed("reset")
        head = b"%b%bcontent-length: %d\r\n\r\n" % (endpoint.head, headers, len(body))
        self._acknowledged.expect(len(head) + len(body), plain=not self.origin.tls)
        if len(body) < _LARGE:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))  # one write as well, without a copy
        return response

    def pause(self) -> None:
        """Leave what the upstream sends in the socket."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def done(self, *, reusable: bool) -> None:
        """The answer is over: back to the pool, or closed."""
        if self._response is None:
            return
        self._response = self.sink = None
        if reusable and self.alive:
            self._pool.give_back(self)
        else:
            self.abort()
            self._pool.drop(self)

    def abort(self) -> None:
        """Close at once; the upstream sees it and stops working."""
        if self._transport is not None:
            self._transport.abort()

    def _unheard(self, error: Exception | None) -> bool:
        """Whether the connection was closed at rest, so that nobody answers the last request.

        llama.cpp closes after each stream (b11669), although it promises to keep the connection,
        and swallows what still comes: so what has arrived may be read by nobody.
        """
        if self._repeatable and self._response is not None and self._response.just_asked:
            return True
        # Only the end of a stream tells surely how much had arrived before it, a reset does not.
        ended = error is None or isinstance(error, BrokenPipeError)
        return ended and self._acknowledged.nothing_new()
