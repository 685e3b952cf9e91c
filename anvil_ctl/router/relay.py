"""Sending an upstream's stream to the client as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from anvil_ctl.router.dialects.anthropic_writer import PING
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.recode import Recoder
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.connection import Response
from anvil_ctl.upstream.failure import UpstreamError, failed

_STREAM = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
)
_PING_AFTER_S = 15.0
_MAX_UNCOMMITTED = 1 << 20


class Relay:
    """One stream on its way. Nothing is sent before the recoder is ready.

    `commit` is called at that moment and gives the answer's headers.
    """

    __slots__ = ("_commit", "_dialect", "_exchange", "_loop", "_out", "_ping", "_recoder", "_wrote")

    def __init__(
        self,
        exchange: Exchange,
        recoder: Recoder,
        dialect: Dialect,
        commit: Callable[[], tuple[tuple[str, str], ...]],
    ) -> None:
        self._exchange = exchange
        self._recoder = recoder
        self._dialect = dialect
        self._commit = commit
        self._loop = asyncio.get_running_loop()
        self._out = b""
        self._wrote = 0.0
        self._ping: asyncio.TimerHandle | None = None

    async def run(self, response: Response) -> None:
        """Relay to the end. Raises UpstreamError only while nothing has been sent."""
        try:
            await self._pour(response)
        except UpstreamError:
            if not self._exchange.started:
                raise
            # The 200 is out: the client must see that this answer isn't whole.
            self._exchange.fields["cut"] = True
            self._exchange.write(self._recoder.error("api_error", "The engine's answer broke off."))
            self._exchange.abort()
        finally:
            self._exchange.flow = None
            if self._ping is not None:
                self._ping.cancel()

    async def _pour(self, response: Response) -> None:
        recode, write, time = self._recoder.feed, self._exchange.write, self._loop.time
        begun = False

        def feed(data: bytes) -> bool:
            nonlocal begun
            out = recode(data)
            if begun:
                write(out)
                self._wrote = time()
            elif out:
                begun = self._begin(out, response)
            return False

        try:
            await response.pour(feed)
        except UpstreamError:
            # What breaks after the terminator takes nothing from the answer.
            if not self._exchange.started or not self._recoder.whole:
                raise
        self._out += self._recoder.finish()
        self._start(response)
        self._exchange.write(self._out)
        self._exchange.end()

    def _begin(self, out: bytes, response: Response) -> bool:
        """Send what there is if the engine answers; else keep it back. Whether it was sent."""
        self._out += out
        if self._recoder.ready:
            self._start(response)
            self._exchange.write(self._out)
            self._out = b""
            return True
        if len(self._out) > _MAX_UNCOMMITTED:
            raise failed("no_content")
        return False

    def _start(self, response: Response) -> None:
        if self._exchange.started:
            return
        self._exchange.start(200, _STREAM + self._commit())
        self._exchange.flow = response
        if not self._exchange.writable:
            response.pause_reading()
        if self._dialect is Dialect.ANTHROPIC:
            self._wrote = self._loop.time()
            self._ping = self._loop.call_later(_PING_AFTER_S, self._ping_if_silent)

    def _ping_if_silent(self) -> None:
        silent = self._loop.time() - self._wrote
        if silent >= _PING_AFTER_S and not self._exchange.complete:
            self._exchange.write(PING)
            self._wrote = self._loop.time()
            silent = 0.0
        self._ping = self._loop.call_later(_PING_AFTER_S - silent, self._ping_if_silent)
