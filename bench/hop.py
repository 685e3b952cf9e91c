"""What one request costs inside the router's process: no sockets, no kernel, no other process.

The router's own server, routes, judgement and upstream client between two transports that only
hand bytes over. Repeatable to a few percent where a whole bench differs by a third, so it shows
what a change to the hot path bought. Run as `python -m bench.hop [KIND ...] [--profile]`.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from anvil_ctl.router import config as configs
from anvil_ctl.router.app import Router
from anvil_ctl.router.config import Config
from anvil_ctl.router.refuse import envelope
from anvil_ctl.serving import access, process
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.connection import Connection
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.upstream.client import Pool
from bench.configs import ROUTER, TIER, TOKEN

_PIECES = 50
_ROUNDS = 7
_CLIENTS = 16
_REQUESTS = {
    "small": 3200,
    "translated": 1600,
    "stream": 640,
    "translated-stream": 640,
    "large": 64,
}

_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"bench-model",'
    b'"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
)
_OPENAI = (
    [_CHUNK % (b'{"content":" word"}', b"null")],
    [
        _CHUNK % (b"{}", b'"stop"'),
        (
            b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,'
            b'"model":"bench-model","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":50,'
            b'"total_tokens":62}}\n\n'
        ),
        b"data: [DONE]\n\n",
    ],
)
_ANTHROPIC = (
    [
        (
            b"event: content_block_delta\n"
            b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
            b'"text":" word"}}\n\n'
        )
    ],
    [
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
        (
            b"event: message_delta\n"
            b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
            b'"usage":{"output_tokens":50}}\n\n'
        ),
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ],
)
_ANTHROPIC_START = [
    (
        b"event: message_start\n"
        b'data: {"type":"message_start","message":{"id":"msg_1","type":"message",'
        b'"role":"assistant","model":"bench-model","content":[],"stop_reason":null,"usage":{"input_tokens":12,'
        b'"output_tokens":1}}}\n\n'
    ),
    (
        b"event: content_block_start\n"
        b'data: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
    ),
]
_WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bench-model","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":" word word word word"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":8,'
    b'"total_tokens":20}}'
)
_COUNT = re.compile(rb'"max_tokens":(\d+)')


class Transport(asyncio.Transport):
    """Hands what is written to `take`."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__()
        self._take = take
        self._closing = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._take(bytes(data))

    def close(self) -> None:
        self._closing = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class Engine:
    """The other side of each upstream connection: answers at once, each piece in a read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def answer(self, request: bytes) -> list[bytes]:
        """The reads that the answer comes in."""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: "
        if b'"stream":true' not in request:
            return [
                b"%bapplication/json\r\ncontent-length: %d\r\n\r\n%b" % (head, len(_WHOLE), _WHOLE)
            ]
        found = _COUNT.search(request)
        count = int(found[1]) if found else 1
        anthropic = request.startswith(b"POST /v1/messages")
        (piece,), ends = _ANTHROPIC if anthropic else _OPENAI
        begins = _ANTHROPIC_START if anthropic else []
        reads = [_chunked(event) for event in [*begins, *[piece] * count, *ends]]
        reads[0] = b"%btext/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%b" % (head, reads[0])
        reads[-1] += b"0\r\n\r\n"
        return reads

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], *_where: object, **_how: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """In the place of the event loop's `create_connection`."""
        protocol = factory()

        def take(data: bytes) -> None:
            self._loop.call_soon(read, iter(self.answer(data)))

        def read(pieces: Iterator[bytes]) -> None:
            # One piece in each turn of the loop: that is how they come from a slow engine.
            piece = next(pieces, None)
            if piece is not None:
                protocol.data_received(piece)
                self._loop.call_soon(read, pieces)

        transport = Transport(take)
        protocol.connection_made(transport)
        return transport, protocol


class _Client:
    """One client's connection: sends a request, and waits for the last byte of its answer."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._end = b""
        self._done: asyncio.Future[None] | None = None
        self._connection = Connection(server)
        self._connection.connection_made(Transport(self._take))
        self.got = 0

    def _take(self, data: bytes) -> None:
        self.got += len(data)
        if self._done is not None and data.endswith(self._end):
            self._done.set_result(None)
            self._done = None

    async def asks(self, request: bytes, end: bytes, times: int) -> None:
        self._end = end
        for _ in range(times):
            await self._ask(request)

    async def _ask(self, request: bytes) -> None:
        self._done = self._loop.create_future()
        self._connection.data_received(request)
        await self._done


def request_of(kind: str) -> tuple[bytes, bytes]:
    """A request, and how its answer ends."""
    stream = kind.endswith("stream")
    model = "translated" if kind.startswith("translated") else "chat"
    letters = 1 << 20 if kind == "large" else 0
    body = msgspec.json.encode(
        {
            "model": model,
            "messages": [{"role": "user", "content": "Say fifty words. " + "x" * letters}],
            "max_tokens": _PIECES if stream else 8,
            "stream": stream,
        }
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body, b"0\r\n\r\n" if stream else b"}"


async def _measure(kind: str, rounds: int, profile: cProfile.Profile | None) -> list[float]:
    loop = asyncio.get_running_loop()
    router, server = routed(Engine(loop).connect)
    clients = [_Client(server, loop) for _ in range(_CLIENTS)]
    request, end = request_of(kind)

    async def ask(many: int) -> None:
        shares = [client.asks(request, end, many // _CLIENTS) for client in clients]
        await asyncio.gather(*shares)

    await ask(20 * _CLIENTS)
    process.settle()
    took = []
    many = _REQUESTS[kind]
    if profile is not None:
        profile.enable()
    for _ in range(rounds):
        began = time.process_time()
        await ask(many)
        took.append((time.process_time() - began) / many * 1e6)
    if profile is not None:
        profile.disable()
    await router.close()
    return took


def routed(connect: Callable[..., Awaitable[object]]) -> tuple[Router, Server]:
    """A router that reaches its engines by `connect`, in the place of the event loop's own."""
    pool = Pool()
    pool._loop = cast("asyncio.AbstractEventLoop", _Loop(pool._loop, connect))  # noqa: SLF001
    config = _config()
    lines = access.AccessLines(lambda data: None)
    router = Router(
        config, lambda: config, pool=pool, hold=Hold(), max_concurrency=64, logs=[lines]
    )
    return router, Server(router.app(Auth(TOKEN)), envelope=envelope, finished=router.finished)


def _config() -> Config:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "router.toml")
        tiers = [TIER.format(dialect=each, engine=9) for each in ("openai", "anthropic")]
        file.write_text(ROUTER + "".join(tiers))
        return configs.load(file)


class _Loop:
    """The event loop, but for its way to connect."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect: Callable[..., object]) -> None:
        self._loop = loop
        self.create_connection = connect

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="*", choices=[*_REQUESTS, []])
    parser.add_argument("--profile", action="store_true", help="print what the time goes into")
    asked = parser.parse_args()
    os.environ["BENCH_TOKEN"] = TOKEN
    for kind in asked.kind or _REQUESTS:
        profile = cProfile.Profile() if asked.profile else None
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            took = runner.run(_measure(kind, 1 if asked.profile else _ROUNDS, profile))
        print(f"{kind:18} {statistics.median(took):7.1f} us (best {min(took):.1f})")
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(60)


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    _main()
