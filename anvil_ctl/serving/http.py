"""An HTTP/1.1 server on asyncio, for programs that answer on their own event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Container
from typing import Protocol

from anvil_ctl.serving import descriptors
from anvil_ctl.serving.connection import Connection
from anvil_ctl.serving.envelope import Envelope, openai_envelope
from anvil_ctl.serving.exchange import Exchange, Handler
from anvil_ctl.serving.heads import Heads
from anvil_ctl.serving.message import Limits, Reply, Request

log = logging.getLogger(__name__)

# A client whose machine or network died sends no goodbye; what it asked for is then given up.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class App(Protocol):
    """What a server serves."""

    def gate(self, request: Request) -> Reply | Handler:
        """Who answers, or the refusal: from the head alone, before any of the body is read.

        The same head has the same handler, so that is remembered. A handler is cancelled when its
        client leaves.
        """


class Server:
    """Connections, their limits and their end. `finished` is told of each answer."""

    def __init__(
        self,
        app: App,
        *,
        limits: Limits | None = None,
        envelope: Envelope = openai_envelope,
        finished: Callable[[Exchange], None] = lambda _exchange: None,
    ) -> None:
        self.app = app
        self.limits = limits or Limits()
        self.heads = Heads(self.limits, app.gate)
        self.envelope = envelope
        self.finished = finished
        self.loop = asyncio.get_running_loop()
        # Not the loop's own clock: uvloop's counts whole milliseconds.
        self.now = time.monotonic
        self.stopping = False
        self._connections: set[Connection] = set()
        self._room = descriptors.connections(self.limits.max_connections)
        self._listener: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; returns the port, which matters where 0 was asked for."""
        self._listener = await self.loop.create_server(
            lambda: Connection(self), host, port, backlog=self.limits.backlog
        )
        for sock in self._listener.sockets:
            _notice_dead_peers(sock)
        self._sweep_later()
        return int(self._listener.sockets[0].getsockname()[1])

    def close_listener(self) -> None:
        """Accept nothing more; connections at rest are closed, busy ones finish."""
        self.stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.stop()

    async def stop(self, grace_s: float) -> None:
        """Stop accepting, let answers finish for `grace_s` seconds, then cut what is left."""
        self.close_listener()
        try:
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        except TimeoutError:
            log.warning("%d connections cut at the end of the grace", len(self._connections))
        self.cut()
        await self._empty.wait()
        if self._sweep is not None:
            self._sweep.cancel()

    def sever(self, spared: Container[object]) -> int:
        """Cut every answer under way but these exchanges, at once; how many those were."""
        busy = [each for each in self._connections if each.serving is not None]
        severed = [each for each in busy if each.serving not in spared]
        for connection in severed:
            connection.abort()
        return len(severed)

    def cut(self) -> None:
        """Close every connection at once, whatever is under way."""
        for connection in list(self._connections):
            connection.abort()

    def enter(self, connection: Connection) -> bool:
        """Admit a new connection, if there is room or one at rest that can make some."""
        if self.stopping:
            return False
        if len(self._connections) >= self._room:
            resting = [each for each in self._connections if each.resting]
            if not resting:
                return False
            longest = min(resting, key=lambda each: each.deadline)
            self._connections.discard(longest)
            longest.abort()
        self._connections.add(connection)
        self._empty.clear()
        return True

    def leave(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _sweep_later(self) -> None:
        limits = self.limits
        period = min(1.0, limits.idle_s / 4, limits.read_s / 4, limits.stalled_write_s / 4)
        self._sweep = self.loop.call_later(period, self._expire_late)

    def _expire_late(self) -> None:
        """One timer for all connections: a timer each would cost more than the requests do."""
        now = self.now()
        for connection in [c for c in self._connections if c.deadline < now]:
            connection.expire()
        self._sweep_later()


def _notice_dead_peers(listener: socket.socket) -> None:
    """Have the kernel ask silent peers whether they live; accepted connections inherit this."""
    if listener.family == socket.AF_UNIX:
        return
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # macOS has some of them under other names
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
