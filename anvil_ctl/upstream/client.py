"""A pooled HTTP/1.1 client for streaming: no redirects, no proxies, no cookies."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

import msgspec

from anvil_ctl.upstream.connection import Connection
from anvil_ctl.upstream.endpoint import Endpoint, Origin
from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.response import Deadlines, Response
from anvil_ctl.upstream.watch import Watch


class PoolLimits(msgspec.Struct, frozen=True):
    """Bounds of the connections to one origin. Times are in seconds.

    The HTTP servers that engines are built on (uvicorn, cpp-httplib) close a connection after 5 s
    at rest: one that is left alone before that is never written to while it closes. Behind TLS
    are services that keep them longer, and a new one costs round trips.
    """

    connections: int = 2048
    idle: int = 512
    idle_s: float = 4.0
    idle_tls_s: float = 45.0


class _Lane:
    """The connections to one origin."""

    __slots__ = ("idle", "used")

    def __init__(self) -> None:
        self.idle: deque[Connection] = deque()
        self.used = 0


class Pool:
    """Connections kept alive per origin. Use from one event loop.

    `tls` says whose certificates are trusted; without it, what the system trusts.
    """

    def __init__(self, limits: PoolLimits | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits or PoolLimits()
        self._lanes: dict[Origin, _Lane] = {}
        self._loop = asyncio.get_running_loop()
        self._watch = Watch(self._loop)
        self._tls = tls
        self._closed = False

    async def post(
        self, endpoint: Endpoint, body: bytes, limits: Deadlines, *, headers: bytes = b""
    ) -> Response:
        """Send a POST and wait for the head of its answer. Raises UpstreamError.

        `headers` are whole header lines. If the task is cancelled, the upstream sees the
        connection close. A kept-alive connection that turns out to have been closed before any of
        the request arrived is replaced by a fresh one, and one to a repeatable endpoint also if
        it is closed within `limits.stale_s` without an answer; nothing else is ever sent twice.
        """
        fresh = False
        while True:
            connection = None if fresh else self._kept(endpoint.origin)
            if connection is None:
                connection = await self._fresh(endpoint, limits)
            response: Response | None = None
            try:
                response = connection.send(endpoint, body, headers, limits)
                await response.head()
            except BaseException as error:
                _give_up(connection, response)
                if connection.may_repeat and isinstance(error, UpstreamError) and not fresh:
                    fresh = True
                    continue
                raise
            return response

    async def close(self) -> None:
        """Close what is idle; what is in use closes when it ends."""
        self._closed = True
        for origin in list(self._lanes):
            self._drop_idle(origin)

    def idle(self, origin: Origin) -> int:
        """How many connections wait for a request."""
        lane = self._lanes.get(origin)
        return len(lane.idle) if lane is not None else 0

    @property
    def used(self) -> int:
        """How many connections carry a request now, to all origins together."""
        return sum(lane.used for lane in self._lanes.values())

    # what connections tell

    def give_back(self, connection: Connection) -> None:
        """An answer ended well."""
        lane = self._lanes[connection.origin]
        lane.used -= 1
        if self._closed or len(lane.idle) >= self._limits.idle:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        lane.idle.append(connection)

    def drop(self, connection: Connection) -> None:
        """An answer ended with its connection."""
        lane = self._lanes.get(connection.origin)
        if lane is not None:
            lane.used -= 1
            self._tidy(connection.origin, lane)

    def forget(self, connection: Connection) -> None:
        """An idle connection was closed by the other side."""
        lane = self._lanes.get(connection.origin)
        if lane is not None and connection in lane.idle:
            lane.idle.remove(connection)
            self._tidy(connection.origin, lane)

    # inside

    def _kept(self, origin: Origin) -> Connection | None:
        """A connection that was kept, if there is a good one."""
        lane = self._lanes.get(origin)
        if lane is None:
            return None
        kept_s = self._limits.idle_tls_s if origin.tls else self._limits.idle_s
        oldest = self._loop.time() - kept_s
        while lane.idle:
            connection = lane.idle.pop()
            if connection.alive and connection.idle_since >= oldest:
                connection.reused = True
                lane.used += 1
                return connection
            connection.abort()
        return None

    async def _fresh(self, endpoint: Endpoint, limits: Deadlines) -> Connection:
        lane = self._lanes.setdefault(endpoint.origin, _Lane())
        if lane.used >= self._limits.connections:
            raise failed("too_many_connections")
        lane.used += 1
        try:
            return await self._connect(endpoint, limits)
        except BaseException:
            lane.used -= 1
            self._tidy(endpoint.origin, lane)
            raise

    async def _connect(self, endpoint: Endpoint, limits: Deadlines) -> Connection:
        origin = endpoint.origin
        try:
            async with asyncio.timeout(limits.connect_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self, endpoint, self._watch),
                    origin.host,
                    origin.port,
                    ssl=self._context() if origin.tls else None,
                )
        except TimeoutError as error:
            raise failed("connect_timeout") from error
        except ssl.SSLError as error:
            raise failed("tls") from error
        except (OSError, UnicodeError) as error:
            raise failed("connect") from error
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _drop_idle(self, origin: Origin) -> None:
        lane = self._lanes.get(origin)
        while lane is not None and lane.idle:
            lane.idle.pop().abort()
        if lane is not None:
            self._tidy(origin, lane)

    def _tidy(self, origin: Origin, lane: _Lane) -> None:
        if not lane.used and not lane.idle:
            self._lanes.pop(origin, None)


def _give_up(connection: Connection, response: Response | None) -> None:
    if response is not None:
        response.close()
    connection.done(reusable=False)
