"""Streams on their way: when they are committed, how they break, and who is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import (
    ASK,
    CHAT,
    MESSAGES,
    SOON,
    TEXT,
    Client,
    hang,
    hang_after_headers,
)
from tests.unit.router.doubles import Answer, Seen


def one(url: str, dialect: str = "openai", **more: object) -> str:
    return doubles.config(doubles.tier("one", url, dialect, **more), presets='chat = ["one"]')


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_the_first_piece_arrives_while_the_engine_still_works(
    tmp_path: Path, path: str
) -> None:
    seen_first = asyncio.Event()

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        for event in TEXT[:2]:
            await answer.chunk(event)
        await seen_first.wait()
        for event in TEXT[2:]:
            await answer.chunk(event)
        await answer.end()

    async with (
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, path, {**ASK, "max_tokens": 9})
        assert b"Hel" in await client.until(b"Hel")
        seen_first.set()
        ending = await client.until(b"0\r\n\r\n")
        assert b"[DONE]" in ending or b"message_stop" in ending
        await client.leave()


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("script", [hang, hang_after_headers])
async def test_a_client_that_leaves_before_the_first_byte_stops_the_engine(
    tmp_path: Path, path: str, stream: bool, script: doubles.Script
) -> None:
    async with (
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        body = {**ASK, "stream": stream, "max_tokens": 9}
        client = await Client.post(running.port, path, body)
        await asyncio.wait_for(engine.asked.wait(), 5)
        await client.leave()
        await asyncio.wait_for(engine.gone.wait(), SOON)


async def test_a_client_that_leaves_in_the_middle_stops_the_engine(tmp_path: Path) -> None:
    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        await answer.chunk(TEXT[0] + TEXT[1])
        await asyncio.Event().wait()

    async with (
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        await client.until(b"Hel")
        await client.leave()
        await asyncio.wait_for(engine.gone.wait(), SOON)


def cut_after(events: list[bytes], *, ends: bool) -> doubles.Script:
    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        for event in events:
            await answer.chunk(event)
        if ends:
            await answer.end()
        else:
            await asyncio.sleep(0)
            answer.cut()

    return script


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("ends", [True, False])
async def test_a_stream_that_breaks_off_ends_in_an_error_and_without_an_end(
    tmp_path: Path, path: str, ends: bool
) -> None:
    async with (
        doubles.double(cut_after(TEXT[:2], ends=ends)) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, path, {**ASK, "max_tokens": 9})
        answer = await client.rest()

        assert b"200 OK" in answer
        assert b'"error"' in answer
        assert b"[DONE]" not in answer
        assert b"message_stop" not in answer
        assert not answer.endswith(b"0\r\n\r\n")
        assert (b"event: error" in answer) is (path == MESSAGES)
        await client.leave()


async def test_an_error_event_of_the_engine_is_not_sent_on(tmp_path: Path) -> None:
    committed = asyncio.Event()

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        await answer.chunk(TEXT[0] + TEXT[1])
        await committed.wait()
        await answer.chunk(b'data: {"error":{"message":"CUDA error on host engine-3"}}\n\n')
        await answer.end()

    async with (
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        await client.until(b"Hel")
        committed.set()
        answer = await client.rest()

        assert b"engine-3" not in answer
        assert b'"error"' in answer
        await client.leave()


async def test_what_breaks_after_the_terminator_takes_nothing_from_the_answer(
    tmp_path: Path,
) -> None:
    async with (
        doubles.double(cut_after(TEXT, ends=False)) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        answer = await client.until(b"0\r\n\r\n")

        assert b"[DONE]" in answer
        assert b'"error"' not in answer
        await client.leave()


async def test_events_cut_anywhere_are_put_together(tmp_path: Path) -> None:
    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        whole = b"".join(TEXT)
        for at in range(0, len(whole), 7):
            await answer.chunk(whole[at : at + 7])
        await answer.end()

    async with (
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        answer = await client.until(b"0\r\n\r\n")

        assert answer.count(b'"model":"chat"') == 4  # role, two pieces, finish; usage wasn't asked
        assert b"served-name" not in answer
        assert b'"usage"' not in answer
        await client.leave()


async def test_a_crlf_stream_is_relayed_too(tmp_path: Path) -> None:
    events = [event.replace(b"\n", b"\r\n") for event in TEXT]
    async with (
        doubles.double(doubles.streams(events)) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        answer = await client.until(b"0\r\n\r\n")

        assert b"Hel" in answer
        assert b"[DONE]" in answer
        await client.leave()


async def test_a_client_that_reads_slowly_slows_the_engine_down(tmp_path: Path) -> None:
    """The engine's writes must block long before all of it is in the router's memory."""
    blocked = asyncio.Event()
    piece = b"".join(doubles.openai_events({"content": "x" * 60_000}, done=False)[1:2])
    total = 2000

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        await answer.chunk(TEXT[0] + TEXT[1])
        for _ in range(total):
            try:
                await asyncio.wait_for(asyncio.shield(answer.chunk(piece)), 0.5)
            except TimeoutError:
                blocked.set()
                raise ConnectionError from None

    async with (
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        await client.until(b"Hel")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(blocked.wait(), 20)
        await client.leave()


async def test_a_long_unstreamed_answer_outlives_the_relay_timeout(tmp_path: Path) -> None:
    async def script(_seen: Seen, answer: Answer) -> None:
        await asyncio.sleep(0.4)  # the generation: four times what a stream's first byte may take
        message = {"role": "assistant", "content": "done"}
        await answer.json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    async with (
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url, timeout=0.1)) as running,
    ):
        client = await Client.post(running.port, CHAT, {**ASK, "stream": False})
        assert b"200 OK" in await client.until(b"\r\n\r\n")
        await client.leave()


async def test_a_silent_engine_is_given_up(tmp_path: Path) -> None:
    async with (
        doubles.double(hang) as engine,
        doubles.router(tmp_path / "r.toml", one(engine.url, timeout=0.1)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        assert b" 503 " in await client.until(b"\r\n\r\n")
        await asyncio.wait_for(engine.gone.wait(), SOON)
        await client.leave()
