"""Answers as a client reads them: whole, cut short, without end, or no HTTP at all."""

from __future__ import annotations

import asyncio

import pytest

from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.response import Deadlines
from tests.unit.router.doubles import Answer, Double, Seen, double
from tests.unit.upstream.asking import LIMITS, ask, to

pytestmark = pytest.mark.both_loops


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


async def test_what_is_no_http_is_a_failure() -> None:
    async def noise(_seen: Seen, answer: Answer) -> None:
        await answer.raw(b"SSH-2.0-x\r\n\r\n")

    async with double(noise) as made:
        with pytest.raises(UpstreamError, match="malformed_http"):
            await ask(Pool(), made)


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
