"""Thousands of requests, good, bad and abandoned: afterwards nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import BODIES, EVENTS, settled
from tests.unit.router.doubles import TOKEN, Answer, Running, Seen

# More of them by hand: SOAK_ROUNDS=500
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "8"))
EACH = 100
WARM = 4


async def script(seen: Seen, answer: Answer) -> None:
    """An engine with moods: whole, cut, wrong, empty, silent."""
    mood = int(seen.headers["x-request-id"].split("-")[1]) % 10
    if mood < 5:
        await doubles.streams(EVENTS["openai"])(seen, answer)
    elif mood == 5:
        await answer.json({"error": {"message": "x"}}, 500)
    elif mood == 6:
        await answer.start()
        await answer.chunk(EVENTS["openai"][0] + EVENTS["openai"][1])
        answer.cut()
    elif mood == 7:
        await answer.json({"error": {"message": "bad field"}}, 400)
    elif mood == 8:
        await answer.raw(b"SSH-2.0\r\n\r\n")
    else:
        await asyncio.Event().wait()


def request(number: int) -> bytes:
    """One of several kinds of request, most of them in order."""
    path = list(BODIES)[number % 3]
    body = json.dumps({"model": "chat", "stream": number % 2 == 0, **BODIES[path]}).encode()
    token = "wrong" if number % 17 == 0 else TOKEN
    length = f"content-length: {len(body)}"
    if number % 19 == 0:
        length = "transfer-encoding: chunked"
    if number % 23 == 0:
        body = b"{" * len(body)
    head = f"POST {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {token}\r\nx-request-id: n-{number}\r\n"
    return f"{head}{length}\r\n\r\n".encode() + body


async def one(port: int, number: int) -> None:
    """Ask, and read to the end, or leave before, in the middle, or without having asked at all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = request(number)
    leaves = number % 7
    writer.write(data[: len(data) // 2] if leaves == 1 else data)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        async with asyncio.timeout(0.02 if number % 10 == 9 else 5):
            if leaves == 2:
                await reader.read(1)
            elif leaves not in (0, 1):
                await reader.readuntil(b"\r\n\r\n")
                await reader.read(1 << 16)
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def load(running: Running, first: int) -> None:
    for start in range(first, first + EACH, 25):
        await asyncio.gather(*(one(running.port, number) for number in range(start, start + 25)))
    await settled(running)


@pytest.fixture
def quiet() -> Iterator[None]:
    """pytest keeps every record that is logged, and would be what is left."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def sockets() -> int:
    return sum(each.is_socket() for each in Path("/proc/self/fd").iterdir())


@pytest.mark.usefixtures("quiet")
async def test_nothing_is_left_of_requests_by_the_hundred(tmp_path: Path) -> None:
    async with doubles.double(script) as engine:
        tier = doubles.tier("a", engine.url, max_concurrency=16, timeout=2)
        text = doubles.config(tier, presets='chat = ["a"]')
        async with doubles.router(tmp_path / "r.toml", text) as running:
            for number in range(WARM):
                await load(running, number * EACH)
            engine.seen.clear()
            gc.collect()
            before = sockets(), len(asyncio.all_tasks())
            tracemalloc.start()
            try:
                for number in range(WARM, WARM + ROUNDS):
                    await load(running, number * EACH)
                    engine.seen.clear()
                gc.collect()
                grown, _peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            after = sockets(), len(asyncio.all_tasks())

            # Records of requests are kept, 10,000 of them, of about 1 KB each.
            assert grown < 500_000 + min(ROUNDS * EACH, 10_000) * 2_000
            # Connections to the engine that rest may be a few more or less.
            assert all(now <= then + 16 for now, then in zip(after, before, strict=True))
            assert running.hold.in_flight == running.hold.waiting == running.pool.used == 0
