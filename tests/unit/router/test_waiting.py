"""What clients hear while the mode changes, each in the words that it understands."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from anvil_ctl.serving.hold import Bounds
from tests.double.server import Double
from tests.unit.router import doubles
from tests.unit.router.asking import CHAT, ENDS, EVENTS, MESSAGES, RESPONSES, Client, body, settled
from tests.unit.router.doubles import Running

QUICK = Bounds(silence_s=0.02)
SIGNS = {
    CHAT: b": waiting: changing to b, about ",
    MESSAGES: b"event: ping\n",
    RESPONSES: b": waiting: ",
}
ERRORS = {
    CHAT: b'data: {"error":{"type":"server_busy","message":"Changing to b: the request has waited',
    MESSAGES: b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"',
    RESPONSES: b"event: response.failed\n",
}


def alone(engine: Double) -> str:
    return doubles.config(doubles.tier("a", engine.url, "openai"), presets='chat = ["a"]')


async def waiting(running: Running, path: str) -> Client:
    """A stream's client that is held, and has been given a sign of life."""
    running.hold.hold("changing to b", 30, expected_s=12)
    client = await Client.post(running.port, path, body(path))
    await client.until(SIGNS[path])
    return client


@pytest.mark.parametrize("path", SIGNS)
async def test_a_stream_that_waits_is_given_signs_of_life_and_then_its_answer(
    tmp_path: Path, path: str
) -> None:
    async with (
        doubles.double(doubles.streams(EVENTS["openai"])) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine)) as running,
    ):
        running.hold.bounds = QUICK
        client = await waiting(running, path)
        assert engine.seen == []
        running.hold.release()
        answer = await client.until(b"0\r\n\r\n")

        assert ENDS[path] in answer
        assert b"HTTP/1.1" not in answer
        await client.leave()
        await settled(running)


@pytest.mark.parametrize("path", SIGNS)
async def test_a_stream_that_has_waited_for_too_long_ends_with_an_error_of_its_dialect(
    tmp_path: Path, path: str
) -> None:
    async with (
        doubles.double(doubles.streams(EVENTS["openai"])) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine)) as running,
    ):
        running.hold.bounds = Bounds(silence_s=0.02, age_s=0.2)
        client = await waiting(running, path)
        answer = await client.until(b"0\r\n\r\n")

        assert ERRORS[path] in answer
        assert b"Try again in 12 s." in answer
        assert engine.seen == []
        await client.leave()
        await settled(running)


@pytest.mark.parametrize("path", SIGNS)
async def test_an_engine_that_fails_after_the_wait_is_an_error_in_the_stream(
    tmp_path: Path, path: str
) -> None:
    async with (
        doubles.double(doubles.answers({}, 500)) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine)) as running,
    ):
        running.hold.bounds = QUICK
        client = await waiting(running, path)
        running.hold.release()
        answer = await client.until(b"0\r\n\r\n")

        assert b"No model can serve the request now." in answer
        assert b"HTTP/1.1" not in answer
        await client.leave()
        await settled(running)


async def test_a_client_that_wants_a_whole_answer_hears_nothing_before_it(tmp_path: Path) -> None:
    async with (
        doubles.double(doubles.streams(EVENTS["openai"])) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine)) as running,
    ):
        running.hold.bounds = QUICK
        running.hold.hold("changing to b", 30)
        asked = body(MESSAGES, stream=False)
        client = await Client.post(running.port, MESSAGES, asked)
        await settled(running, held=1)
        await asyncio.sleep(0.1)
        running.hold.release()
        answer = await client.until(b'"stop_reason"')

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"x-anvil-tier: a" in answer
        await client.leave()


@pytest.mark.parametrize("path", SIGNS)
async def test_past_the_bound_it_is_a_503_that_says_when_to_come_back(
    tmp_path: Path, path: str
) -> None:
    async with (
        doubles.double(doubles.streams(EVENTS["openai"])) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine)) as running,
    ):
        running.hold.bounds = Bounds(requests=0)
        running.hold.hold("changing to b", 30, expected_s=12)
        client = await Client.post(running.port, path, body(path))
        answer = await client.until(b"Try again in 12 s.")

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 12\r\n" in answer
        assert b"Changing to b: too many requests are waiting." in answer
        await client.leave()
