"""What tests ask a router, by which clients, and what engines answer to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.unit.router import doubles
from tests.unit.router.doubles import ADMIN, TOKEN, Answer, Running, Seen

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
HI = [{"role": "user", "content": "hi"}]
ASK = {"model": "chat", "stream": True, "messages": HI}
BODIES: dict[str, dict[str, object]] = {
    CHAT: {"messages": HI},
    MESSAGES: {"messages": HI, "max_tokens": 9},
    RESPONSES: {"input": "hi"},
}
TEXT = doubles.openai_events({"content": "Hel"}, {"content": "lo"})
WHOLE = {
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    ],
}
FINE = doubles.streams(TEXT)
# What ends a stream that is whole.
ENDS = {
    CHAT: b"data: [DONE]\n\n",
    MESSAGES: b"event: message_stop",
    RESPONSES: b"response.completed",
}
EVENTS = {
    "openai": TEXT,
    "anthropic": doubles.anthropic_events(
        ({"type": "text", "text": ""},
         [{"type": "text_delta", "text": "Hel"}, {"type": "text_delta", "text": "lo"}])
    ),
}  # fmt: skip
SOON = 0.5


def body(path: str, *, stream: bool = True) -> dict[str, object]:
    return {"model": "chat", "stream": stream, **BODIES[path]}


class Client:
    """One raw connection, so that leaving and framing can be seen exactly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def post(cls, port: int, path: str, body: object) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {TOKEN}\r\n"
        writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        return cls(reader, writer)

    async def until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), 5)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 5)

    async def leave(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def asker(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"x-api-key": TOKEN})


@contextlib.asynccontextmanager
async def routed(folder: Path, text: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a router with that configuration."""
    async with doubles.router(folder / "r.toml", text) as running, asker(running.url) as client:
        yield client


def a_then_b(first: str, second: str) -> str:
    """The configuration of a preset that asks tier a, and then b."""
    return doubles.config(
        doubles.tier("a", first), doubles.tier("b", second), presets='chat = ["a", "b"]'
    )


def admin(running: doubles.Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.admin, headers={"authorization": f"Bearer {ADMIN}"})


async def hang(_seen: Seen, _answer: Answer) -> None:
    await asyncio.Event().wait()


async def hang_after_headers(_seen: Seen, answer: Answer) -> None:
    await answer.start()
    await asyncio.Event().wait()


async def cut(_seen: Seen, answer: Answer) -> None:
    answer.cut()


def held(running: Running) -> dict[str, object]:
    """What the router keeps for requests."""
    tiers = running.router.status()["tiers"]
    assert isinstance(tiers, list)
    (tier,) = tiers
    return {
        "in_flight": tier["in_flight"],
        "waiting": tier["waiting"],
        "held": running.hold.waiting,
        "used": running.pool.used,
    }


async def settled(running: Running, **expected: int) -> None:
    """Wait, not for long, until the router holds as much as is expected; nothing if not named."""
    wanted = {"in_flight": 0, "waiting": 0, "held": 0, "used": 0, **expected}
    # Only how soon all is free again is promised, not how soon a busy machine gets there.
    async with asyncio.timeout(5 if expected else SOON):
        while True:
            if held(running) == wanted and (expected or not running.hold.in_flight):
                return
            await asyncio.sleep(0.002)
