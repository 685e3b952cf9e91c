"""Scripted engines and multiplexers on real sockets, and a router in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from anvil_ctl.router import config as configs
from anvil_ctl.router.app import Router, envelope
from anvil_ctl.serving.access import log_access
from anvil_ctl.serving.admin import Admin
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.message import Limits
from anvil_ctl.upstream.client import Pool

TOKEN = "router-token"
ADMIN = "admin-token"


@dataclass
class Seen:
    """A request that a double got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


class Answer:
    """What a script answers with."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def json(self, value: object, status: int = 200, headers: str = "") -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}"
        await self.raw(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    async def start(self, kind: str = "text/event-stream") -> None:
        await self.raw(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        self._writer.transport.abort()


Edit = Callable[[str], str]
Script = Callable[[Seen, Answer], Awaitable[None]]


@dataclass
class Double:
    """A scripted HTTP server. `gone` is set when a client leaves before the script has ended."""

    script: Script
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self._converse(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._tasks.discard(task)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                start, *lines = head.split("\r\n")[:-2]
                headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                seen = Seen(start.split(" ")[1], headers, body)
                self.seen.append(seen)
                self.asked.set()
                if not await self._play(seen, Answer(writer), reader):
                    break

    async def _play(self, seen: Seen, answer: Answer, reader: asyncio.StreamReader) -> bool:
        """Run the script against the client's leaving; whether the connection lives on."""

        async def script() -> None:
            await self.script(seen, answer)

        playing = asyncio.create_task(script())
        # Nothing is pipelined to a double, so a byte here can only be the end of the connection.
        watching = asyncio.create_task(reader.read(1))
        await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            self.gone.set()
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await playing
            return False
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await watching
        with contextlib.suppress(ConnectionError):
            playing.result()
        return not reader.at_eof()


@contextlib.asynccontextmanager
async def double(script: Script) -> AsyncIterator[Double]:
    made = Double(script)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{made.port}"
    try:
        yield made
    finally:
        server.close()
        await made.stop()


@dataclass
class Running:
    """A router that listens."""

    url: str
    port: int
    admin: str
    router: Router
    hold: Hold
    file: Path


@contextlib.asynccontextmanager
async def router(
    file: Path, text: str, *, max_concurrency: int = 64, limits: Limits | None = None
) -> AsyncIterator[Running]:
    await asyncio.to_thread(file.write_text, text)
    pool, hold = Pool(), Hold()
    made = Router(
        configs.load(file),
        lambda: configs.load(file),
        pool=pool,
        hold=hold,
        max_concurrency=max_concurrency,
    )
    data = Server(made.app(Auth(TOKEN)), limits=limits, envelope=envelope, finished=log_access)
    admin = Server(Admin(made, hold).app(ADMIN))
    port = await data.listen("127.0.0.1", 0)
    admin_port = await admin.listen("127.0.0.1", 0)
    admin_url = f"http://127.0.0.1:{admin_port}"
    try:
        yield Running(f"http://127.0.0.1:{port}", port, admin_url, made, hold, file)
    finally:
        await data.stop(0.1)
        await admin.stop(0.1)
        await pool.close()


def tier(tier_id: str, url: str, dialect: str = "openai", **more: object) -> str:
    """A tier's table, with further keys as TOML-compatible JSON values."""
    keys: dict[str, object] = {
        "id": tier_id,
        "base_url": url,
        "dialect": dialect,
        "context_limit": 8192,
        "privacy": "local",
        "tool_support": True,
        "auth_env": "TIER_KEY",
        "model": f"{tier_id}-model",
        **more,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[[router.tiers]]", *lines, ""])


def config(*tiers: str, presets: str = "", router_keys: str = "", multiplexer: str = "") -> str:
    """A router's file."""
    lease = f'[router.multiplexer]\nurl = "{multiplexer}"\ntoken_env = "MUX_TOKEN"\n'
    return "\n".join(
        [
            '[router]\nmapping_version = "1"\nmode = "agentic"\n' + router_keys,
            *tiers,
            f"[router.presets]\n{presets}",
            lease if multiplexer else "",
        ]
    )


def openai_events(*pieces: object, finish: str = "stop", done: bool = True) -> list[bytes]:
    """The events of an OpenAI stream with these delta objects, one bytes each."""
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "served-name"}
    chunks: list[dict[str, object]] = [
        {**base, "choices": [{"index": 0, "delta": piece, "finish_reason": None}]}
        for piece in ({"role": "assistant", "content": ""}, *pieces)
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    chunks.append({**base, "choices": [], "usage": usage})
    events = [b"data: " + _compact(chunk) + b"\n\n" for chunk in chunks]
    return events + ([b"data: [DONE]\n\n"] if done else [])


def anthropic_events(*blocks: tuple[dict[str, object], list[dict[str, object]]],
                     stop: str = "end_turn", done: bool = True) -> list[bytes]:  # fmt: skip
    """The events of an Anthropic stream with these blocks and their deltas."""
    message: dict[str, object] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "served-name",
        "content": [], "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 1},
    }  # fmt: skip
    events: list[dict[str, object]] = [{"type": "message_start", "message": message}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 3}})
    if done:
        events.append({"type": "message_stop"})
    return [
        b"event: " + str(event["type"]).encode() + b"\ndata: " + _compact(event) + b"\n\n"
        for event in events
    ]


def streams(events: list[bytes]) -> Script:
    """A script that streams these events, one chunk each, and ends properly."""

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        for event in events:
            await answer.chunk(event)
        await answer.end()

    return script


def answers(value: object, status: int = 200, headers: str = "") -> Script:
    """A script that answers with JSON."""

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.json(value, status, headers)

    return script


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
