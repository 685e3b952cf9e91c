"""The pooled client against scripted servers, on uvloop and on asyncio's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trustme

from anvil_ctl.upstream.client import Pool, PoolLimits
from anvil_ctl.upstream.endpoint import Endpoint, endpoint
from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.response import Deadlines
from tests.unit import sockets
from tests.unit.router.doubles import Answer, Double, Seen, answers, double

LIMITS = Deadlines(1.0, 1.0, 1.0)


pytestmark = pytest.mark.both_loops


def to(made: Double) -> Endpoint:
    return endpoint(made.url, "/v1/x")


async def ask(pool: Pool, made: Double, limits: Deadlines = LIMITS) -> bytes:
    response = await pool.post(to(made), b"{}", limits)
    try:
        return await response.read(1 << 20)
    finally:
        response.close()


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


@pytest.mark.parametrize("after_head", [True, False])
async def test_silence_is_given_up_and_the_connection_closed(after_head: bool) -> None:
    async def silent(_seen: Seen, answer: Answer) -> None:
        if after_head:
            await answer.start()
        await asyncio.Event().wait()

    async with double(silent) as made:
        with pytest.raises(UpstreamError, match="timeout"):
            await ask(Pool(), made, Deadlines(1.0, 0.1, 0.1))
        await asyncio.wait_for(made.gone.wait(), 1)


async def test_a_body_cut_short_is_a_failure() -> None:
    async def short(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        answer.cut()

    async with double(short) as made:
        with pytest.raises(UpstreamError, match="reset"):
            await ask(Pool(), made)


async def test_a_body_that_only_closing_ends_is_whole() -> None:
    async def close_delimited(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc")

    class Once(Double):
        pass

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await close_delimited(Seen("", "", {}, b""), Answer(writer))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made = Once(close_delimited, port=server.sockets[0].getsockname()[1])
    made.url = f"http://127.0.0.1:{made.port}"
    assert await ask(Pool(), made) == b"abc"
    server.close()


async def test_a_body_over_the_cap_is_a_failure_and_one_at_the_cap_is_not() -> None:
    async def ten(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789")

    async with double(ten) as made:
        pool = Pool()
        response = await pool.post(to(made), b"", LIMITS)
        assert await response.read(10) == b"0123456789"
        response = await pool.post(to(made), b"", LIMITS)
        with pytest.raises(UpstreamError, match="too_large"):
            await response.read(9)
        response.close()
        await pool.close()


async def test_an_interim_answer_is_passed_over() -> None:
    async def early(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await answer.json({})

    async with double(early) as made:
        pool = Pool()
        assert await ask(pool, made) == b"{}"
        await pool.close()


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


async def test_what_is_no_http_is_a_failure() -> None:
    async def noise(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"SSH-2.0-x\r\n\r\n")

    async with double(noise) as made:
        with pytest.raises(UpstreamError, match="malformed_http"):
            await ask(Pool(), made)


async def test_a_cancelled_request_closes_its_connection_at_once() -> None:
    async def wait(_seen: Seen, _answer: Answer) -> None:
        await asyncio.Event().wait()

    async with double(wait) as made:
        task = asyncio.create_task(ask(Pool(), made))
        await asyncio.wait_for(made.asked.wait(), 5)
        task.cancel()
        await asyncio.wait_for(made.gone.wait(), 0.5)
        await asyncio.gather(task, return_exceptions=True)


async def trickle(_seen: Seen, answer: Answer) -> None:
    await answer.start()
    while True:
        await answer.chunk(b": still here\n\n")
        await asyncio.sleep(0.02)


async def test_an_answer_that_never_ends_is_given_up_though_it_is_never_silent() -> None:
    async with double(trickle) as made:
        with pytest.raises(UpstreamError, match="total_timeout"):
            await ask(Pool(), made, Deadlines(1.0, 1.0, 1.0, total_s=0.2))
        await asyncio.wait_for(made.gone.wait(), 1)


async def test_a_head_that_never_ends_is_given_up_too() -> None:
    async def heads(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 200 OK\r\n")
        while True:
            await answer.raw(b"x: y\r\n")
            await asyncio.sleep(0.02)

    async with double(heads) as made:
        with pytest.raises(UpstreamError, match="total_timeout"):
            await ask(Pool(), made, Deadlines(1.0, 1.0, 1.0, total_s=0.2))


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early\r\n\r\n"])
async def test_a_head_over_the_bound_is_a_failure(start: bytes) -> None:
    async def flood(_seen: Seen, answer: Answer) -> None:
        await answer.raw(start)
        for _ in range(100):
            line = b"x: " + b"y" * 10_000 + b"\r\n"
            await answer.raw(line if start.count(b"\r\n") == 1 else start[:-2] + line + b"\r\n")

    async with double(flood) as made:
        with pytest.raises(UpstreamError, match="malformed_http"):
            await ask(Pool(), made)


async def test_trailers_are_not_kept() -> None:
    async def trailers(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        await answer.chunk(b"{}")
        await answer.raw(b"0\r\n" + b"".join(b"t%d: x\r\n" % n for n in range(1000)) + b"\r\n")

    async with double(trailers) as made:
        pool = Pool()
        response = await pool.post(to(made), b"", LIMITS)
        assert await response.read(10) == b"{}"
        assert len(response.headers) == 2
        await pool.close()


@pytest.mark.parametrize("whole", [True, False])
async def test_the_beginning_of_a_long_error_is_read_and_no_more(whole: bool) -> None:
    async def quotes(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 400 Bad\r\ncontent-length: 2000000\r\n\r\n")
        await answer.raw(b"prompt is too long: " + b"x" * (1_999_980 if whole else 10))
        if not whole:
            answer.cut()

    async with double(quotes) as made:
        response = await Pool().post(to(made), b"", LIMITS)
        assert (await response.beginning(1000)).startswith(b"prompt is too long: x")
        response.close()


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with double(answers({})) as made:
        pool = Pool()
        assert await ask(pool, made) == b"{}"
        await pool.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_engine_behind_tls_is_checked_against_the_usual_variable(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    pool = Pool()
    there = endpoint(f"https://localhost:{port}", "/v1/x")
    try:
        if trusted:
            response = await pool.post(there, b"", LIMITS)
            assert await response.read(10) == b"{}"
            assert pool.idle(there.origin) == 1
        else:
            with pytest.raises(UpstreamError, match="tls"):
                await pool.post(there, b"", LIMITS)
    finally:
        await pool.close()
        server.close()


async def test_small_requests_are_not_held_back() -> None:
    async def wait(_seen: Seen, _answer: Answer) -> None:
        await asyncio.Event().wait()

    async with double(wait) as made:
        task = asyncio.create_task(ask(Pool(), made))
        await asyncio.wait_for(made.asked.wait(), 5)
        with sockets.our_end(lambda sock: sock.getpeername() == ("127.0.0.1", made.port)) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
