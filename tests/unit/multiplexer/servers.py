"""Small real servers for tests: an engine, and a client that speaks HTTP byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType

from anvil_ctl.serving.exchange import Exchange, Handler
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.message import Request


class FakeEngine:
    """An engine that serves `name`. A streamed answer waits after each piece for `go`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.health = 200
        self.listing: object = {"object": "list", "data": [{"id": name}]}
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()
        self.cut = asyncio.Event()
        self.port = 0
        self._server = Server(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> FakeEngine:
        self.port = await self._server.listen("127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._server.stop(0)

    def gate(self, _request: Request) -> Handler:
        return self.handle

    async def handle(self, request: Request, exchange: Exchange) -> None:
        if request.path == "/health":
            exchange.reply(self.health, b'{"status": "ok"}')
        elif request.path == "/v1/models":
            exchange.reply(200, json.dumps(self.listing).encode())
        else:
            self.requests.append(request)
            self.arrived.set()
            await self._answer(json.loads(request.body), exchange)

    async def _answer(self, body: dict[str, object], exchange: Exchange) -> None:
        if body.get("fail"):
            exchange.reply(
                422, b'{"engine": "says no"}', headers=(("x-engine-secret", "kept inside"),)
            )
            return
        if not body.get("stream"):
            exchange.reply(200, json.dumps({"served_by": self.name}).encode())
            return
        try:
            exchange.start(200, (("content-type", "text/event-stream"),))
            exchange.write(b"data: first\n\n")
            await self.go.wait()
            if body.get("break"):
                exchange.abort()
                return
            exchange.write(b"data: second\n\n")
            exchange.end()
        except asyncio.CancelledError:
            self.cut.set()
            raise


class Wire:
    """One client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def piece(self) -> bytes:
        """The next chunk of a chunked answer; empty at its end."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def line(self) -> dict[str, object]:
        """The next NDJSON line."""
        decoded = json.loads(await self.piece())
        assert isinstance(decoded, dict)
        return decoded

    async def body(self) -> bytes:
        """The whole answer."""
        if "content-length" in self.headers:
            return await self.reader.readexactly(int(self.headers["content-length"]))
        data = b""
        while piece := await self.piece():
            data += piece
        return data

    async def json(self) -> dict[str, object]:
        """The whole answer, decoded."""
        decoded = json.loads(await self.body())
        assert isinstance(decoded, dict)
        return decoded

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Clients:
    """Connections, all closed at the end of `async with`."""

    def __init__(self) -> None:
        self._wires: list[Wire] = []

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for wire in self._wires:
            await wire.close()

    async def send(
        self, port: int, method: str, path: str, body: object = None, *headers: tuple[str, str]
    ) -> Wire:
        """Send a request without waiting for its answer. bytes are sent as they are."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        wire = Wire(reader, writer)
        self._wires.append(wire)
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        lines = [f"{method} {path} HTTP/1.1", "host: test", f"content-length: {len(raw)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + raw)
        return wire

    async def call(
        self, port: int, method: str, path: str, body: object = None, *headers: tuple[str, str]
    ) -> Wire:
        """Send a request and wait for the head of its answer."""
        wire = await self.send(port, method, path, body, *headers)
        await answered(wire)
        return wire


async def answered(wire: Wire) -> None:
    """Wait for the head of an answer."""
    wire.status = int((await wire.reader.readline()).split()[1])
    while line := (await wire.reader.readline()).decode().strip():
        name, _, value = line.partition(": ")
        wire.headers[name.lower()] = value
