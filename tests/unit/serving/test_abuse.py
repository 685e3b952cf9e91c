"""Clients that break the rules or misuse them, over real sockets and on either event loop."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator

import pytest

from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Limits, Request
from tests.unit import sockets
from tests.unit.serving.test_http import post, serving, talk

pytestmark = pytest.mark.both_loops

GET = b"GET /get HTTP/1.1\r\nhost: a\r\n\r\n"
LAST = b"GET /get HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
STRANGE = b"GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n"


@contextlib.asynccontextmanager
async def connected(
    port: int, *, window: int = 0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection; `window` is how many bytes of what it doesn't read the kernel may keep."""
    sock = socket.socket()
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def more(reader: asyncio.StreamReader) -> bytes:
    data = await asyncio.wait_for(reader.read(1 << 20), 5)
    assert data, "the server closed the connection"
    return data


async def test_empty_lines_before_a_request_cost_nothing() -> None:
    async with serving() as (_server, port):
        began = time.monotonic()
        answer = await talk(port, b"\r\n" * 1_000_000 + LAST)

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - began < 1


async def test_a_thousand_pipelined_requests_are_answered_in_turn() -> None:
    numbered = [
        f"GET /get HTTP/1.1\r\nhost: a\r\nx-request-id: n{number}\r\n\r\n".encode()
        if number % 2
        else f"GET /nothing HTTP/1.1\r\nhost: a\r\nx-request-id: n{number}\r\n\r\n".encode()
        for number in range(1000)
    ]
    async with serving() as (_server, port), connected(port) as (reader, writer):
        # In groups that fit in the queue: what is answered at once needs no place in it.
        answer = b""
        for start in range(0, 1000, 10):
            writer.write(b"".join(numbered[start : start + 10]))
            while answer.count(b"HTTP/1.1 ") < start + 10:
                answer += await more(reader)

    found = re.findall(rb"x-request-id: n(\d+)", answer)
    assert [int(number) for number in found] == list(range(1000))


async def test_a_client_that_asks_and_never_reads_is_not_read_either() -> None:
    """Otherwise each 40 bytes of it become 300 in the server's memory, without a credential."""
    sent = 0
    # Longer than it has to be, so that not too many of them fit in the kernel's buffers.
    strange = STRANGE[:-2] + b"x: " + b"y" * 800 + b"\r\n\r\n"
    async with serving() as (_server, port), connected(port, window=4096) as (reader, writer):
        with contextlib.suppress(TimeoutError):
            while sent < 200_000:
                writer.write(strange * 500)
                sent += 500
                await asyncio.wait_for(writer.drain(), 0.3)
        assert sent < 200_000

        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        answers = 0
        rest = b""
        while answers < sent:
            data = rest + await more(reader)
            answers += data.count(b"HTTP/1.1 404")
            rest = data[-11:] if data.count(b"HTTP/1.1 404", -11) == 0 else b""
        assert answers == sent


async def test_more_than_the_queue_holds_ends_the_connection() -> None:
    began = asyncio.Event()

    async def wait(_request: Request, _exchange: Exchange) -> None:
        began.set()
        await asyncio.Event().wait()

    async with serving(wait, Limits(max_pipelined=4)) as (_server, port):
        assert await talk(port, GET * 6) == b""
        assert began.is_set()


async def test_bodies_that_wait_their_turn_are_bounded_together() -> None:
    async def wait(_request: Request, _exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with serving(wait, Limits(max_body=1000)) as (_server, port):
        assert await talk(port, post(b"x" * 600) * 3) == b""


async def test_a_client_that_reads_nothing_is_cut_in_its_second_answer_too() -> None:
    async def much(_request: Request, exchange: Exchange) -> None:
        exchange.start(200, [])
        for _ in range(100):
            exchange.write(b"x" * 100_000)
        exchange.end()

    left = asyncio.Event()

    async def endless(request: Request, exchange: Exchange) -> None:
        if request.body == b"1":
            await much(request, exchange)
            return
        try:
            exchange.start(200, [])
            exchange.write(b"more")
            await asyncio.Event().wait()
        finally:
            left.set()

    async with (
        serving(endless, Limits(stalled_write_s=0.2)) as (_server, port),
        connected(port) as (_reader, writer),
    ):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(post(b"1") + post(b"2"))
        await asyncio.wait_for(left.wait(), 5)


async def test_a_large_upload_that_is_refused_gets_to_its_answer() -> None:
    async with (
        serving(limits=Limits(max_body=100_000)) as (_server, port),
        connected(port) as (reader, writer),
    ):
        writer.write(post(b"x" * 20_000_000))
        answer = await asyncio.wait_for(reader.readuntil(b"large."), 5)

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert await asyncio.wait_for(_end_of(reader), 5)


async def _end_of(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass
    return True


async def test_continue_is_a_word_of_http_1_1() -> None:
    async with serving() as (_server, port):
        answer = await talk(port, post(b"body", "expect: 100-continue\r\n", version="1.0"))

        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_continue_is_sent_when_the_answer_before_is_finished() -> None:
    async with serving() as (_server, port), connected(port) as (reader, writer):
        whole = post(b"second", "expect: 100-continue\r\nconnection: close\r\n")
        writer.write(post(b"first") + whole[: -len(b"second")])
        before = await asyncio.wait_for(reader.readuntil(b"100 Continue\r\n\r\n"), 5)
        assert b"first" in before
        writer.write(b"second")
        assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"second")


@pytest.mark.parametrize(
    "lines",
    [
        "transfer-encoding: chunked",
        "content-length: 1_0",
        "content-length: 3\r\ncontent-length: 3",
        "content-length: 99999999999999999999999",
    ],
)
async def test_what_follows_a_body_without_a_sure_end_is_no_request(lines: str) -> None:
    async with serving() as (_server, port):
        smuggled = b"0\r\n\r\n" + LAST
        for method in ("GET", "POST"):
            path = "/get" if method == "GET" else "/echo"
            head = f"{method} {path} HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n".encode()
            answer = await talk(port, head + smuggled)

            assert answer.count(b"HTTP/1.1 ") == 1
            assert (b"200 OK" in answer) is (method == "GET")
            assert b"connection: close" in answer


async def test_a_body_that_is_on_its_way_when_the_server_stops_is_still_answered() -> None:
    async with serving() as (server, port), connected(port) as (reader, writer):
        whole = post(b"late body")
        writer.write(whole[:-4])
        assert (await talk(port, LAST)).startswith(b"HTTP/1.1 200 ")  # by then the half has come
        stopping = asyncio.create_task(server.stop(5))
        await asyncio.sleep(0)
        writer.write(whole[-4:])
        answer = await asyncio.wait_for(reader.read(), 5)

        assert answer.endswith(b"late body")
        assert b"connection: close" in answer
        await asyncio.wait_for(stopping, 1)


async def test_closing_one_half_counts_as_leaving() -> None:
    left, began = asyncio.Event(), asyncio.Event()

    async def wait(_request: Request, _exchange: Exchange) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async with serving(wait) as (_server, port), connected(port) as (_reader, writer):
        writer.write(GET)
        await asyncio.wait_for(began.wait(), 5)
        writer.write_eof()
        await asyncio.wait_for(left.wait(), 0.5)


async def test_the_kernel_looks_after_clients_that_die_without_a_word() -> None:
    async with serving() as (_server, port), connected(port) as (reader, writer):
        writer.write(post(b"here"))
        await asyncio.wait_for(reader.readuntil(b"here"), 5)
        client = writer.get_extra_info("sockname")
        with sockets.our_end(lambda each: each.getpeername() == client) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
