"""Connections that are kept and used again, and requests that are never sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import msgspec
import pytest

from anvil_ctl.upstream.client import Pool, PoolLimits
from anvil_ctl.upstream.endpoint import Endpoint, endpoint
from anvil_ctl.upstream.failure import UpstreamError
from tests.unit.router.doubles import Answer, Seen, answers, double
from tests.unit.upstream.asking import LIMITS, ask, to

pytestmark = pytest.mark.both_loops


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    async with double(answers({"a": 1})) as made:
        pool = Pool()
        for _ in range(3):
            assert await ask(pool, made) == b'{"a": 1}'
        assert made.connections == 1
        assert pool.idle(to(made).origin) == 1
        await pool.close()


async def test_concurrent_requests_have_a_connection_each_up_to_the_bound() -> None:
    release = asyncio.Event()

    async def wait(_seen: Seen, answer: Answer) -> None:
        await release.wait()
        await answer.json({})

    async with double(wait) as made:
        pool = Pool(PoolLimits(connections=2))
        tasks = [asyncio.create_task(ask(pool, made)) for _ in range(2)]
        while len(made.seen) < 2:
            made.asked.clear()
            await made.asked.wait()
        with pytest.raises(UpstreamError, match="too_many_connections"):
            await ask(pool, made)
        release.set()
        await asyncio.gather(*tasks)
        assert made.connections == 2
        await pool.close()


class Bare:
    """A server of plain sockets, for what happens between a request and its connection's end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def accept(self) -> socket.socket:
        sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        return sock

    async def answer(self, sock: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        asked = await loop.sock_recv(sock, 1 << 16)
        await loop.sock_sendall(sock, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        return asked

    def close(self) -> None:
        self._listener.close()


@contextlib.asynccontextmanager
async def kept() -> AsyncIterator[tuple[Bare, Pool, socket.socket, Endpoint]]:
    """A server and a pool with one connection at rest between them."""
    server, pool = Bare(), Pool()
    there = endpoint(server.url, "/v1/x")
    asking = asyncio.create_task(pool.post(there, b"{}", LIMITS))
    sock = await server.accept()
    await server.answer(sock)
    assert await (await asking).read(10) == b"{}"
    assert pool.idle(there.origin) == 1
    yield server, pool, sock, there
    sock.close()
    server.close()
    await pool.close()


@pytest.mark.parametrize("size", [2, 3_000_000])
async def test_a_connection_closed_before_any_of_the_request_arrived_is_replaced(size: int) -> None:
    async with kept() as (server, pool, sock, there):
        sock.close()  # and the pool can't have heard of it yet
        asking = asyncio.create_task(pool.post(there, b"x" * size, LIMITS))
        fresh = await asyncio.wait_for(server.accept(), 2)
        await server.answer(fresh)

        assert (await asking).status == 200
        fresh.close()


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("resets", [True, False])
async def test_a_request_that_may_have_been_read_is_never_sent_twice(
    reads: bool, resets: bool
) -> None:
    async with kept() as (server, pool, sock, there):
        asking = asyncio.create_task(pool.post(there, b"{}", LIMITS))
        loop = asyncio.get_running_loop()
        if reads:
            assert await loop.sock_recv(sock, 1 << 16)
        else:
            await asyncio.sleep(0)  # it is written; whether it lies unread over there nobody sees
            await asyncio.sleep(0)
        if resets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

        with pytest.raises(UpstreamError, match="reset"):
            await asyncio.wait_for(asking, 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.accept(), 0.05)


@pytest.mark.parametrize("closed", ["half", "reset"])
async def test_an_engine_that_closed_a_kept_connection_is_asked_again(closed: str) -> None:
    """As llama.cpp does after a stream: it ends its side, and swallows what still comes."""
    async with kept() as (server, pool, sock, there):
        again = msgspec.structs.replace(there, repeatable=True)
        asking = asyncio.create_task(pool.post(again, b"{}", LIMITS))
        assert await asyncio.get_running_loop().sock_recv(sock, 1 << 16)
        if closed == "half":
            sock.shutdown(socket.SHUT_WR)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        fresh = await asyncio.wait_for(server.accept(), 2)
        await server.answer(fresh)

        assert (await asking).status == 200
        fresh.close()


async def test_an_engine_that_dies_over_a_request_is_not_asked_again() -> None:
    limits = msgspec.structs.replace(LIMITS, stale_s=0.05)
    async with kept() as (server, pool, sock, there):
        again = msgspec.structs.replace(there, repeatable=True)
        asking = asyncio.create_task(pool.post(again, b"{}", limits))
        await asyncio.sleep(0.1)
        sock.close()

        with pytest.raises(UpstreamError, match="reset"):
            await asyncio.wait_for(asking, 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.accept(), 0.05)


async def test_an_engine_that_breaks_off_its_answer_is_not_asked_again() -> None:
    async with kept() as (server, pool, sock, there):
        again = msgspec.structs.replace(there, repeatable=True)
        asking = asyncio.create_task(pool.post(again, b"{}", LIMITS))
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(sock, 1 << 16)
        await loop.sock_sendall(sock, b"HTTP/1.1 2")
        sock.close()

        with pytest.raises(UpstreamError, match="reset"):
            await asyncio.wait_for(asking, 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.accept(), 0.05)


async def test_a_connection_that_rested_as_long_as_engines_bear_is_not_used() -> None:
    async with double(answers({"a": 1})) as made:
        pool = Pool(PoolLimits(idle_s=0.01))
        for _ in range(2):
            assert await ask(pool, made) == b'{"a": 1}'
            await asyncio.sleep(0.02)
        assert made.connections == 2
        await pool.close()


async def test_a_fresh_connection_that_dies_is_not_tried_again() -> None:
    async def cut(_seen: Seen, answer: Answer) -> None:
        answer.cut()

    async with double(cut) as made:
        with pytest.raises(UpstreamError, match="reset"):
            await ask(Pool(), made)
        assert len(made.seen) == 1


async def test_words_after_the_answer_cost_the_connection() -> None:
    async def chatty(_seen: Seen, answer: Answer) -> None:
        await answer.raw(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad"
        )

    async with double(chatty) as made:
        pool = Pool()
        assert await ask(pool, made) == b"{}"
        assert pool.idle(to(made).origin) == 0
        await pool.close()
