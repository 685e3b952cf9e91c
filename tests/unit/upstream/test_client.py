"""The pooled client against scripted servers."""

from __future__ import annotations

import asyncio

import pytest

from anvil_ctl.upstream.client import Pool, PoolLimits
from anvil_ctl.upstream.connection import Deadlines
from anvil_ctl.upstream.endpoint import Endpoint, endpoint
from anvil_ctl.upstream.failure import UpstreamError
from tests.unit.router.doubles import Answer, Double, Seen, answers, double

LIMITS = Deadlines(1.0, 1.0, 1.0)


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


async def test_a_dead_kept_connection_is_replaced_once() -> None:
    async def once(_seen: Seen, answer: Answer) -> None:
        if len(made.seen) == 2:
            answer.cut()  # the second request meets a connection that dies without a word
        else:
            await answer.json({})

    async with double(once) as made:
        pool = Pool()
        await ask(pool, made)
        assert await ask(pool, made) == b"{}"
        assert (len(made.seen), made.connections) == (3, 2)
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
