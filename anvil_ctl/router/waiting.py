"""A request that waits while the mode changes, and the signs of life that its client is given."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable

import msgspec

from anvil_ctl.router.dialects import recode
from anvil_ctl.router.dialects.answer import Stamp
from anvil_ctl.router.dialects.anthropic_writer import PING
from anvil_ctl.router.dialects.call import Call, Dialect
from anvil_ctl.router.dialects.forwarded import Forwarded
from anvil_ctl.router.refusal import Refusal
from anvil_ctl.router.relay import STREAM
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold, HoldFullError
from anvil_ctl.serving.logs import milliseconds
from anvil_ctl.serving.message import Request


class _Error(msgspec.Struct):
    message: str = "Internal error."


class _Body(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


async def enter(hold: Hold, call: Call | Forwarded, request: Request, exchange: Exchange) -> None:
    """`hold.enter`, with what the client understands as 'not yet' after each silence.

    A stream then begins before anything is decided: its 200 is out, the headers that tell of the
    decision are not sent, and a failure becomes the stream's own error event. Who asked for a
    whole answer just waits: nothing can be said to such a client before its answer.
    """
    began = time.monotonic()
    signs = None
    if call.stream:
        signs = Signs(call, exchange, hold.bounds.silence_s, functools.partial(_held, hold))
    hold.waiters.add(exchange)
    try:
        await hold.enter(len(request.body))
    finally:
        hold.waiters.discard(exchange)
        exchange.fields["held_ms"] = milliseconds(time.monotonic() - began)
        if signs is not None:
            signs.stop()


def turned_away(error: HoldFullError) -> Refusal:
    """The answer to a request that may not wait, or no longer."""
    said = error.message[:1].upper() + error.message[1:]
    message = f"{said}. Try again in {error.retry_after_s} s."
    return Refusal(503, "server_busy", message, error.retry_after_s)


def early(call: Call, exchange: Exchange, every_s: float) -> Signs | None:
    """Signs of life while a stream's tiers are asked and their answers are looked at.

    The first one promises a 200: from then on a failure is the stream's own error event.
    """
    return Signs(call, exchange, every_s, lambda: "") if call.stream else None


def _held(hold: Hold) -> str:
    """What a client is waiting for, in a line."""
    expected = hold.expected_s
    about = "" if expected is None else f", about {expected:.0f} s"
    return "".join(c for c in hold.reason or "" if c.isprintable()) + about


class Signs:
    """Writes into a stream that has not begun whenever it has been silent for too long."""

    def __init__(
        self, call: Call | Forwarded, exchange: Exchange, every_s: float, why: Callable[[], str]
    ) -> None:
        self._call = call
        self._exchange = exchange
        self._every_s = every_s
        self._why = why
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(every_s, self._tick)

    def stop(self) -> None:
        """Write no more."""
        self._timer.cancel()

    def _tick(self) -> None:
        exchange = self._exchange
        if exchange.started or exchange.complete:
            return
        if not exchange.opened:
            exchange.open(STREAM, _as_event(self._call))
        # Who doesn't read needs no further sign, and must not make us keep them.
        if exchange.writable:
            exchange.write(self._sign())
        self._timer = self._loop.call_later(self._every_s, self._tick)

    def _sign(self) -> bytes:
        if _dialect(self._call) is Dialect.ANTHROPIC:
            return PING
        why = self._why()
        return f": waiting: {why}\n\n".encode() if why else b": waiting\n\n"


def _dialect(call: Call | Forwarded) -> Dialect:
    return call.dialect if isinstance(call, Call) else Dialect.OPENAI


def _as_event(call: Call | Forwarded) -> Callable[[bytes], bytes]:
    """How the body of a whole answer, mostly an error, is said inside the stream of a call."""
    dialect = _dialect(call)

    def event(body: bytes) -> bytes:
        if isinstance(call, Call) and dialect is Dialect.RESPONSES:
            stamp = Stamp(os.urandom(12).hex(), int(time.time()), call.model)
            said = msgspec.json.decode(body, type=_Body).error.message
            return recode.writer(call, stamp).error("api_error", said)
        # A line break in JSON is never part of a string.
        data = b"data: " + body.replace(b"\n", b"") + b"\n\n"
        return b"event: error\n" + data if dialect is Dialect.ANTHROPIC else data

    return event
