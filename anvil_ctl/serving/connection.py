"""One client's connection: requests are read in order, and each is answered by a task of its own.

A request's task is cancelled the moment its client leaves, whatever the task is waiting for. That
is why a busy connection is never paused for reading: an unread socket cannot report its end.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec

from anvil_ctl.serving import framing
from anvil_ctl.serving.envelope import refusal
from anvil_ctl.serving.exchange import Exchange, Handler, to_nobody
from anvil_ctl.serving.heads import Verdict
from anvil_ctl.serving.message import Reply, Request

if TYPE_CHECKING:
    from anvil_ctl.serving.http import Server

log = logging.getLogger(__name__)

_DRAIN = 64 << 10
_LINGER_S = 1.0
# So many requests are read in one turn of the event loop; then everybody else's turn comes.
_BURST = 16
_BLANK_LINES = re.compile(rb"(?:\r\n)+")
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_FOREVER = float("inf")
# An id is unique, not secret: a random number for each would be a system call for each.
_PROCESS = os.urandom(8).hex()
_NUMBERS = itertools.count(int.from_bytes(os.urandom(2)))


class _Turn(msgspec.Struct):
    """A request that has its place in the order of answers."""

    request: Request
    answer: Verdict
    close: bool
    # A body follows that is not read.
    linger: bool = False
    # The client waits to be told to send its body.
    expects: bool = False


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._body: list[bytes] = []
        self._missing = 0
        self._reading: _Turn | None = None
        self._queue: deque[_Turn] = deque()
        self._exchange: Exchange | None = None
        self._turn: _Turn | None = None
        self._task: asyncio.Task[None] | None = None
        self._resumed: asyncio.Future[None] | None = None
        self._discarded: int | None = None
        self._behind = False
        self.writable = True
        self.deadline = _FOREVER

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._server.enter(self):
            transport.close()
            return
        self.deadline = self._server.now() + self._server.limits.idle_s

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._exchange is not None:
            self._exchange.left()
        self._server.leave(self)
        self._queue.clear()
        if self._resumed is not None and not self._resumed.done():
            self._resumed.cancel()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._discarded is not None:
            self._discard(len(data))
            return
        if self._reading is not None:
            data = self._take(self._reading, data)
        if data:
            self._head = self._head + data if self._head else data
            self._parse()

    def pause_writing(self) -> None:
        self.writable = False
        self.deadline = self._server.now() + self._server.limits.stalled_write_s
        if self._exchange is not None and self._exchange.flow is not None:
            self._exchange.flow.pause_reading()

    def resume_writing(self) -> None:
        self.writable = True
        if self._exchange is not None:
            self.deadline = _FOREVER
        else:
            self._rest()
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        if self._exchange is not None and self._exchange.flow is not None:
            self._exchange.flow.resume_reading()
        if self._behind:
            self._server.loop.call_soon(self._catch_up)

    # reading requests

    def _parse(self) -> None:
        for _ in range(_BURST):
            if self._head.startswith(b"\r\n"):
                self._head = _BLANK_LINES.sub(b"", self._head, count=1)
            if not self._head or self._reading is not None or self._discarded is not None:
                return
            if not self.writable and self._exchange is None:
                break  # its answers would only pile up
            end = self._head.find(b"\r\n\r\n") + 4
            if end < 4 or end > self._server.limits.max_head:
                if len(self._head) > self._server.limits.max_head:
                    self._accept(framing.too_long(self._head, self._server.limits), None)
                elif self._exchange is None:
                    self._start_read_clock()
                return
            raw, rest = self._head[:end], self._head[end:]
            self._head = b""
            self._accept(*self._server.heads.read(raw))
            if self._discarded is None and rest:
                reading = self._reading
                self._head = rest if reading is None else self._take(reading, rest)
            if self._reading is not None and self._exchange is None:
                self._await_request()
        self._fall_behind()

    def _fall_behind(self) -> None:
        """Read nothing more from the client until what has come is dealt with."""
        if self._transport is not None and not self._transport.is_closing():
            self._behind = True
            self._transport.pause_reading()
            if self.writable:
                self._server.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        if self._behind and self._transport is not None:
            self._behind = False
            self._parse()
            if not self._behind and not self._transport.is_closing():
                self._transport.resume_reading()

    def _accept(self, framed: framing.Framed, verdict: Verdict) -> None:
        """A head is complete: refuse it, or read its body."""
        request, fault, answer = framed.request, framed.fault, verdict
        if fault is not None and not isinstance(answer, Reply):
            answer = refusal(
                self._server.envelope, request.path, fault.status, fault.kind, fault.message
            )
        expects = "expect" in request.headers and _expects(framed)
        if isinstance(answer, Reply) and (framed.length > _DRAIN or fault is not None or expects):
            self._begin(_Turn(request, answer, close=True, linger=True))
            return
        turn = _Turn(request, answer, framed.close, framed.unread, expects)
        if framed.length:
            self._missing = framed.length
            self._reading = turn
        else:
            self._begin(turn)

    def _await_request(self) -> None:
        """It is the turn of a request that hasn't arrived whole."""
        turn = self._reading
        if turn is not None and turn.expects and self._transport is not None:
            turn.expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._start_read_clock()

    def _take(self, turn: _Turn, data: bytes) -> bytes:
        """Collect body bytes; returns what belongs to the next request."""
        part, rest = data[: self._missing], data[self._missing :]
        self._missing -= len(part)
        refused = isinstance(turn.answer, Reply)
        if self._missing:
            if not refused:
                self._body.append(part)
            return rest
        if self._body:
            part = b"".join((*self._body, part))
            self._body.clear()
        self._reading = None
        if not refused:
            turn.request = msgspec.structs.replace(turn.request, body=part)
        self._begin(turn)
        return rest

    def _begin(self, turn: _Turn) -> None:
        if turn.close:
            # Nothing after this request will be answered, so nothing more is parsed.
            self._discarded = 0
            self._head = b""
        if self._exchange is None and not self._queue:
            self._serve(turn)
        elif self._has_room(turn):
            self._queue.append(turn)
        else:
            self.abort()

    def _has_room(self, turn: _Turn) -> bool:
        limits = self._server.limits
        size = sum(len(each.request.body) for each in (*self._queue, turn))
        return len(self._queue) < limits.max_pipelined and size <= limits.max_body

    def _discard(self, size: int) -> None:
        """Bytes that nobody will read: some are borne, so that the client gets to its answer."""
        self._discarded = (self._discarded or 0) + size
        if self._discarded <= _DRAIN or self._transport is None:
            return
        if self._exchange is not None:
            self.abort()
        elif not self._transport.is_closing():
            self._transport.pause_reading()

    # answering

    def _serve(self, turn: _Turn) -> None:
        request = turn.request
        request_id = request.headers.get("x-request-id")
        if request_id is None or not _SAFE_ID.fullmatch(request_id):
            request_id = f"{_PROCESS}{next(_NUMBERS):08x}"
        closing = turn.close or self._server.stopping
        exchange = Exchange(self, request, request_id, close=closing, started_at=self._server.now())
        self._exchange = exchange
        self._turn = turn
        if self.writable:
            self.deadline = _FOREVER
        if isinstance(turn.answer, Reply):
            exchange.send(turn.answer)
        elif turn.answer is not None:
            self._task = self._server.loop.create_task(self._run(turn.answer, request, exchange))

    async def _run(self, handler: Handler, request: Request, exchange: Exchange) -> None:
        try:
            await handler(request, exchange)
        except asyncio.CancelledError:
            exchange.fields["cancelled"] = True
            raise
        except Exception as error:  # noqa: BLE001 - the server's boundary: it answers and serves on
            _log_fault(request, exchange, error)
            if not exchange.started:
                exchange.send(self._internal_error(request))
        finally:
            # A task that ends without an answer leaves the client one that it can tell is broken.
            exchange.abort()
            self._server.finished(exchange)

    def _internal_error(self, request: Request) -> Reply:
        return refusal(
            self._server.envelope, request.path, 500, "internal_error", "Internal error."
        )

    # Wire

    @property
    def send(self) -> Callable[[bytes], object]:
        return to_nobody if self._transport is None else self._transport.write

    def resumed(self) -> asyncio.Future[None]:
        if self._resumed is None or self._resumed.done():
            self._resumed = self._server.loop.create_future()
        return self._resumed

    def completed(self, exchange: Exchange, *, keep: bool) -> None:
        turn = self._turn
        if turn is not None and isinstance(turn.answer, Reply):
            self._server.finished(exchange)
        self._exchange = None
        self._task = None
        self._turn = None
        if not keep or (self._server.stopping and not self._queue):
            self._leave_client(linger=turn is not None and turn.linger, cut=not exchange.started)
        elif self._queue:
            # From the loop, not from here: a burst of pipelined requests must not recurse.
            self._server.loop.call_soon(self._next)
        elif self.writable:
            self._rest()

    def _next(self) -> None:
        if self._transport is not None and self._exchange is None and self._queue:
            self._serve(self._queue.popleft())

    # ending

    def _rest(self) -> None:
        """Between two answers."""
        self.deadline = self._server.now() + self._server.limits.idle_s
        if self._reading is not None or self._head:
            self._await_request()

    @property
    def resting(self) -> bool:
        """Whether nothing is under way here, so that closing costs nobody anything."""
        busy = self._exchange is not None or self._reading is not None or self._queue
        return not (busy or self._head or self._discarded is not None)

    @property
    def serving(self) -> Exchange | None:
        """The answer that is under way."""
        return self._exchange

    def _start_read_clock(self) -> None:
        """The whole request must arrive by then; more bytes of it buy no more time."""
        limit = self._server.now() + self._server.limits.read_s
        self.deadline = min(self.deadline, limit)

    def _leave_client(self, *, linger: bool, cut: bool) -> None:
        if self._transport is None:
            return
        self._discarded = 0
        patience = _LINGER_S if linger else self._server.limits.stalled_write_s
        self.deadline = self._server.now() + patience
        if cut:
            self._transport.abort()
        elif linger and self._transport.can_write_eof():
            # Closing with unread bytes would send a reset that can overtake the answer.
            self._transport.write_eof()
        else:
            self._transport.close()

    def expire(self) -> None:
        """The deadline has passed: say so to a client in the middle of a request, then close."""
        unfinished = self._reading is not None or self._head
        if self._exchange is None and unfinished and self.writable:
            request = self._reading.request if self._reading is not None else framing.NOBODY
            late = refusal(
                self._server.envelope, request.path, 408, "invalid_request", "Request timed out."
            )
            self._reading = None
            self._begin(_Turn(request, late, close=True, linger=True))
        elif self._transport is not None:
            self._transport.abort()

    def stop(self) -> None:
        """Close now if idle; a request under way is finished, and closes the connection."""
        if self.resting:
            self.close()

    def close(self) -> None:
        """Close once what has been written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def _expects(framed: framing.Framed) -> bool:
    """Whether the client waits to be told to send the body; HTTP/1.0 knows no such word."""
    expectation = framed.request.headers["expect"].lower()
    return expectation == "100-continue" and framed.length > 0 and not framed.request.http10


def _log_fault(request: Request, exchange: Exchange, error: Exception) -> None:
    """Where it failed, without the error's text: that may quote a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    exchange.fields["error"] = type(error).__name__
    log.error("%s %s failed: %s at %s", request.method, request.path, type(error).__name__, where)
