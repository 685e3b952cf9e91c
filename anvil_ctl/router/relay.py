"""Sending an upstream's stream to the client as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from anvil_ctl.router.dialects.anthropic_writer import PING
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.recode import Recoder
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.response import Response

STREAM = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
)
# Looked at this often, so a client waits for a ping at most twice as long.
_PING_AFTER_S = 10.0
_MAX_UNCOMMITTED = 1 << 20


class Relay:
    """One stream on its way. Nothing is sent before the recoder is ready.

    `commit` is called at that moment.
    """

    __slots__ = (
        "_commit", "_dialect", "_exchange", "_loop", "_out", "_ping", "_recoder", "_response",
        "_seen",
    )  # fmt: skip

    def __init__(
        self,
        exchange: Exchange,
        recoder: Recoder,
        dialect: Dialect,
        commit: Callable[[], None],
        response: Response,
    ) -> None:
        self._exchange = exchange
        self._recoder = recoder
        self._dialect = dialect
        self._commit = commit
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._out = b""
        self._seen = 0
        self._ping: asyncio.TimerHandle | None = None

    async def run(self) -> bool:
        """Relay to the end; False if the engine's answer broke off before it.

        Raises UpstreamError only while nothing has been sent.
        """
        try:
            await self._response.pour(self._feed, self._finish)
        except UpstreamError:
            if not self._exchange.started:
                raise
            if self._recoder.whole:
                # What breaks after the terminator takes nothing from the answer.
                self._finish()
            else:
                self._cut()
                return False
        finally:
            self._exchange.flow = None
            if self._ping is not None:
                self._ping.cancel()
        return True

    def _feed(self, data: bytes) -> bool:
        """Send what there is if the engine answers; else keep it back.

        Once it has, the recoder and the client's connection need nobody between them.
        """
        self._out += self._recoder.feed(data)
        if self._recoder.ready:
            self._start()
            self._exchange.write(self._out)
            self._out = b""
            self._response.divert(self._recoder.passing(self._exchange.write))
        elif len(self._out) > _MAX_UNCOMMITTED:
            raise failed("no_content")
        return False

    def _finish(self) -> None:
        """All is in: send what is left, and the end."""
        self._out += self._recoder.finish()
        self._start()
        self._exchange.write(self._out)
        self._exchange.end()

    def _cut(self) -> None:
        """The 200 is out: the client must see that this answer isn't whole."""
        self._exchange.fields["cut"] = True
        self._exchange.write(self._recoder.error("api_error", "The engine's answer broke off."))
        self._exchange.abort()

    def _start(self) -> None:
        if self._exchange.started:
            return
        self._commit()
        self._exchange.start(200, STREAM)
        self._exchange.flow = self._response
        if not self._exchange.writable:
            self._response.pause_reading()
        if self._dialect is Dialect.ANTHROPIC:
            self._ping_later()

    def _ping_later(self) -> None:
        self._seen = self._exchange.sent
        self._ping = self._loop.call_later(_PING_AFTER_S, self._ping_if_silent)

    def _ping_if_silent(self) -> None:
        if self._exchange.sent == self._seen and not self._exchange.complete:
            self._exchange.write(PING)
        self._ping_later()
