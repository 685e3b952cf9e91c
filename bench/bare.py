"""The least a relay in this language can be: bytes from one socket to another, nothing else.

Not a gateway: no credential, no limits, no routing, no accounting, no word about what goes wrong.
What it costs beside nginx is this machine's floor for a Python process, and what the router costs
above it is what its features cost. Run as `python -m bench.bare PORT ENGINE_PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import cast

import httptools
import uvloop


class _Upstream(asyncio.Protocol):
    """A kept connection to the engine; what it says goes to the client that has it now."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.client: _Client | None = None
        self._parser: httptools.HttpResponseParser | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def begin(self, client: _Client, request: bytes) -> None:
        self.client = client
        self._parser = httptools.HttpResponseParser(self)
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        client = self.client
        if client is None or self._parser is None:
            return
        client.transport.write(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.client = None
        IDLE.append(self)


IDLE: deque[_Upstream] = deque()


class _Client(asyncio.Protocol):
    """A client's connection; each request of it goes to a kept connection, or to a new one."""

    transport: asyncio.Transport

    def __init__(self, engine: int) -> None:
        self._engine = engine
        self._parser = httptools.HttpRequestParser(self)
        self._pieces: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        request = b"".join(self._pieces)
        self._pieces.clear()
        if IDLE:
            IDLE.pop().begin(self, request)
        else:
            self._task = asyncio.ensure_future(self._connect(request))

    async def _connect(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(_Upstream, "127.0.0.1", self._engine)
        upstream.begin(self, request)


async def _serve(port: int, engine: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(engine), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
