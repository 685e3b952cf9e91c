"""The server over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.exchange import Exchange, Handler
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.message import Limits, Request
from anvil_ctl.serving.routes import Route, Routes

AUTH = "Authorization: Bearer tok\r\n"


async def echo(request: Request, exchange: Exchange) -> None:
    exchange.reply(200, request.body, content_type="text/plain")


async def three(_request: Request, exchange: Exchange) -> None:
    exchange.start(200, [("content-type", "text/plain")])
    for piece in (b"a", b"", b"bb", b"ccc"):
        exchange.write(piece)
        await exchange.drain()
    exchange.end()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler = echo, limits: Limits | None = None, auth: Auth | None = None
) -> AsyncIterator[tuple[Server, int]]:
    routes = Routes(
        [
            Route("POST", "/echo", handler),
            Route("GET", "/get", handler),
            Route("GET", "/healthz", echo, open=True),
        ],
        auth=auth or Auth(None),
    )
    server = Server(routes, limits=limits)
    port = await server.listen("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop(0.2)


async def talk(port: int, raw: bytes) -> bytes:
    """Send, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    data = b""
    with contextlib.suppress(ConnectionError):
        data = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return data


def post(body: bytes, headers: str = "", path: str = "/echo", version: str = "1.1") -> bytes:
    lines = f"POST {path} HTTP/{version}\r\nhost: a\r\n{headers}content-length: {len(body)}\r\n\r\n"
    return lines.encode() + body


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as (_server, port):
        requests = [post(b"one"), post(b"two"), post(b"three", "connection: close\r\n")]
        answer = await talk(port, b"".join(requests))

        assert answer.count(b"200 OK") == 3
        assert answer.index(b"one") < answer.index(b"two") < answer.index(b"three")


async def test_requests_arrive_whole_however_they_are_cut() -> None:
    async with serving() as (_server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in post(b"body", "connection: close\r\n"):
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()

        assert answer.endswith(b"\r\n\r\nbody")


async def test_chunks_are_framed_and_empty_pieces_are_not_an_end() -> None:
    async with serving(three) as (_server, port):
        answer = await talk(port, post(b"", "connection: close\r\n"))

        assert answer.endswith(b"\r\n\r\n1\r\na\r\n2\r\nbb\r\n3\r\nccc\r\n0\r\n\r\n")
        assert b"connection: close" in answer


async def test_an_http_1_0_client_gets_a_stream_that_closing_ends() -> None:
    async with serving(three) as (_server, port):
        answer = await talk(port, post(b"", version="1.0"))

        assert answer.endswith(b"\r\n\r\nabbccc")
        assert b"transfer-encoding" not in answer


async def test_head_gets_the_head_alone() -> None:
    async with serving() as (_server, port):
        raw = b"HEAD /get HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        answer = await talk(port, raw)

        assert b"200 OK" in answer
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("OPTIONS", "/echo", 204, b"allow: OPTIONS, POST"),
        ("GET", "/echo", 405, b"allow: OPTIONS, POST"),
        ("DELETE", "/get", 405, b"allow: GET, HEAD, OPTIONS"),
        ("GET", "/nothing", 404, b""),
    ],
)
async def test_methods_are_answered_with_what_the_path_allows(
    method: str, path: str, status: int, allow: bytes
) -> None:
    async with serving() as (_server, port):
        raw = f"{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode()
        answer = await talk(port, raw)

        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert allow in answer


async def test_a_stranger_is_told_nothing_about_paths_sizes_or_syntax() -> None:
    async with serving(auth=Auth("tok"), limits=Limits(max_body=10)) as (_server, port):
        for raw in (
            post(b"x", "connection: close\r\n", "/nothing"),
            post(b"x" * 100, "connection: close\r\n"),
            b"POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /echo HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
        ):
            assert (await talk(port, raw)).startswith(b"HTTP/1.1 401 ")


async def test_a_refused_small_body_leaves_the_connection_in_sync() -> None:
    async with serving(auth=Auth("tok")) as (_server, port):
        good = post(b"good", AUTH + "connection: close\r\n")
        answer = await talk(port, post(b"GET /x HTTP/1.1") + good)

        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.endswith(b"good")
        assert answer.count(b"HTTP/1.1 ") == 2


async def test_a_body_over_the_cap_is_refused_without_being_read() -> None:
    async with serving(limits=Limits(max_body=100)) as (_server, port):
        answer = await talk(port, post(b"x" * 50_000))

        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_continue_is_sent_only_for_a_body_that_will_be_read() -> None:
    async with serving(auth=Auth("tok")) as (_server, port):
        expects = "expect: 100-continue\r\nconnection: close\r\n"
        refused = await talk(port, post(b"x" * 10, expects)[:-10])
        assert refused.startswith(b"HTTP/1.1 401 ")

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = post(b"0123456789", AUTH + expects)
        writer.write(whole[:-10])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(whole[-10:])
        assert (await reader.read()).endswith(b"0123456789")
        writer.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n", 414),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000, 431),
    ],
)
async def test_heads_that_never_end_are_cut(raw: bytes, status: int) -> None:
    async with serving() as (_server, port):
        assert (await talk(port, raw)).startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_request_that_trickles_is_given_up() -> None:
    async with serving(limits=Limits(read_s=0.1)) as (_server, port):
        assert (await talk(port, post(b"half")[:-2])).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed() -> None:
    async with serving(limits=Limits(idle_s=0.1)) as (_server, port):
        assert await talk(port, b"") == b""


async def test_a_connection_over_the_bound_is_closed_while_all_others_are_busy() -> None:
    began = asyncio.Event()

    async def wait(_request: Request, _exchange: Exchange) -> None:
        began.set()
        await asyncio.Event().wait()

    async with serving(wait, limits=Limits(max_connections=1)) as (_server, port):
        _reader, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(post(b"x"))
        await asyncio.wait_for(began.wait(), 5)
        assert await talk(port, post(b"x")) == b""
        first.close()


async def test_a_connection_over_the_bound_takes_the_place_of_one_at_rest() -> None:
    async with serving(limits=Limits(max_connections=1)) as (_server, port):
        reader, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(post(b"one"))
        await asyncio.wait_for(reader.readuntil(b"one"), 5)
        assert (await talk(port, post(b"two", "connection: close\r\n"))).endswith(b"two")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        first.close()


async def test_a_client_that_leaves_cancels_its_task_before_any_answer() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_request: Request, _exchange: Exchange) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(wait) as (_server, port):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"x"))
        await asyncio.wait_for(began.wait(), 5)
        writer.close()
        await asyncio.wait_for(cancelled.wait(), 0.5)


async def test_a_fault_is_a_500_that_says_nothing_and_the_server_lives_on() -> None:
    async def fail(_request: Request, _exchange: Exchange) -> None:
        raise ValueError("the prompt was: secret")

    async with serving(fail) as (_server, port):
        answer = await talk(port, post(b"x") + post(b"x", "connection: close\r\n"))

        assert answer.count(b"HTTP/1.1 500 ") == 2
        assert b"secret" not in answer


async def test_a_fault_after_the_start_leaves_the_answer_without_an_end() -> None:
    async def fail(_request: Request, exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.write(b"part")
        raise ValueError

    async with serving(fail) as (_server, port):
        answer = await talk(port, post(b"x"))

        assert b"part" in answer
        assert not answer.endswith(b"0\r\n\r\n")


async def test_stopping_finishes_what_is_under_way() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_request: Request, exchange: Exchange) -> None:
        began.set()
        await go_on.wait()
        exchange.reply(200, b"finished")

    async with serving(wait) as (server, port):
        talking = asyncio.create_task(talk(port, post(b"x")))
        await asyncio.wait_for(began.wait(), 5)
        stopping = asyncio.create_task(server.stop(5))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait_for(stopping, 1)

        assert (await talking).endswith(b"finished")


async def test_a_callers_request_id_is_kept_if_it_is_safe() -> None:
    async with serving() as (_server, port):
        kept = await talk(port, post(b"", "x-request-id: abc-1\r\nconnection: close\r\n"))
        made = await talk(port, post(b"", "x-request-id: a b\r\nconnection: close\r\n"))

        assert b"x-request-id: abc-1\r\n" in kept
        assert b"a b" not in made


async def test_a_burst_of_connections_finds_room_to_wait() -> None:
    """More than any old backlog of 5 or 128, all before the server's loop has a turn."""
    async with serving() as (_server, port):
        burst = [socket.create_connection(("127.0.0.1", port), timeout=1) for _ in range(300)]
        for client in burst:
            client.sendall(post(b"x", "connection: close\r\n"))
        answers = [await asyncio.to_thread(client.recv, 4096) for client in burst]
        for client in burst:
            client.close()

        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


async def test_severing_cuts_what_is_answered_and_spares_what_waits() -> None:
    begun: list[Exchange] = []
    both = asyncio.Event()

    async def hang(_request: Request, exchange: Exchange) -> None:
        begun.append(exchange)
        exchange.start(200, [])
        if len(begun) == 2:
            both.set()
        await asyncio.Event().wait()

    async with serving(hang) as (server, port):
        first, second = (asyncio.create_task(talk(port, post(b""))) for _ in range(2))
        await asyncio.wait_for(both.wait(), 5)

        assert server.sever({begun[0]}) == 1
        done, running = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(running)) == (1, 1)
        assert server.sever(set()) == 1
        await running.pop()
