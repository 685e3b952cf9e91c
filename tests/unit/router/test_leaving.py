"""A client may leave at any moment: the engine is told at once, and nothing is kept for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import (
    CHAT,
    EVENTS,
    MESSAGES,
    RESPONSES,
    SOON,
    Client,
    body,
    hang,
    hang_after_headers,
    settled,
)
from tests.unit.router.doubles import Answer, Double, Running, Script, Seen
from tests.unit.router.leases import Leases, leased

pytestmark = pytest.mark.usefixtures("mux_token")
# Of either dialect's events so many end with the first piece of text.
BEGUN = {"openai": 2, "anthropic": 3}


def first(script: Script, dialect: str) -> Script:
    """The first caller gets the script, everybody after it a whole answer."""
    callers = 0

    async def by_turn(seen: Seen, answer: Answer) -> None:
        nonlocal callers
        callers += 1
        await (script if callers == 1 else doubles.streams(EVENTS[dialect]))(seen, answer)

    return by_turn


def hang_after_text(dialect: str) -> Script:
    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        for event in EVENTS[dialect][: BEGUN[dialect]]:
            await answer.chunk(event)
        await asyncio.Event().wait()

    return script


def alone(engine: Double, dialect: str) -> str:
    tier = doubles.tier("a", engine.url, dialect, max_concurrency=1, max_queue=5)
    return doubles.config(tier, presets='chat = ["a"]')


async def serves(running: Running, path: str) -> None:
    client = await Client.post(running.port, path, body(path))
    assert b"200 OK" in await client.until(b"0\r\n\r\n")
    await client.leave()


PATHS = [CHAT, MESSAGES, RESPONSES]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("moment", ["prefill", "prefill-unstreamed", "headers", "middle"])
async def test_leaving_stops_the_engine_and_frees_its_slot_and_connection(
    tmp_path: Path, path: str, dialect: str, moment: str
) -> None:
    script = {"headers": hang_after_headers, "middle": hang_after_text(dialect)}.get(moment, hang)
    async with (
        doubles.double(first(script, dialect)) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine, dialect)) as running,
    ):
        client = await Client.post(
            running.port, path, body(path, stream=moment != "prefill-unstreamed")
        )
        await asyncio.wait_for(engine.asked.wait(), 5)
        if moment == "middle":
            await client.until(b"Hel")
        await settled(running, in_flight=1, used=1)
        await client.leave()

        await asyncio.wait_for(engine.gone.wait(), SOON)
        await settled(running)
        await serves(running, path)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_leaving_while_reading_nothing_stops_an_engine_that_waits_for_it(
    tmp_path: Path, dialect: str
) -> None:
    piece = b"".join(EVENTS[dialect][BEGUN[dialect] - 1 : BEGUN[dialect]]).replace(
        b"Hel", b"x" * 60_000
    )
    flows, left = asyncio.Event(), asyncio.Event()

    async def floods(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        for event in EVENTS[dialect][: BEGUN[dialect]]:
            await answer.chunk(event)
        flows.set()
        try:
            while True:
                await answer.chunk(piece)
        finally:
            left.set()

    async with (
        doubles.double(first(floods, dialect)) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine, dialect)) as running,
    ):
        client = await Client.post(running.port, CHAT, body(CHAT))
        await client.until(b"Hel")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(flows.wait(), 5)
        await asyncio.sleep(0.1)  # the more is on its way, the better
        await client.leave()

        await asyncio.wait_for(left.wait(), SOON)
        await settled(running)
        await serves(running, CHAT)


@pytest.mark.parametrize("path", PATHS)
async def test_leaving_the_queue_for_a_slot_frees_the_place(tmp_path: Path, path: str) -> None:
    async with (
        doubles.double(first(hang, "openai")) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine, "openai")) as running,
    ):
        served = await Client.post(running.port, path, body(path))
        await asyncio.wait_for(engine.asked.wait(), 5)
        queued = await Client.post(running.port, path, body(path))
        await settled(running, in_flight=1, waiting=1, used=1)
        await queued.leave()

        await settled(running, in_flight=1, used=1)
        assert not engine.gone.is_set()
        await served.leave()
        await settled(running)
        assert len(engine.seen) == 1
        await serves(running, path)


@pytest.mark.parametrize("path", PATHS)
async def test_leaving_a_hold_frees_the_place_and_asks_no_engine(tmp_path: Path, path: str) -> None:
    async with (
        doubles.double(doubles.streams(EVENTS["openai"])) as engine,
        doubles.router(tmp_path / "r.toml", alone(engine, "openai")) as running,
    ):
        running.hold.hold("switch", 30)
        client = await Client.post(running.port, path, body(path))
        await settled(running, held=1)
        await client.leave()

        await settled(running)
        running.hold.release()
        assert engine.seen == []
        await serves(running, path)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("granted", [True, False])
async def test_leaving_gives_the_lease_back_or_its_place_in_the_queue(
    tmp_path: Path, path: str, granted: bool
) -> None:
    leases = Leases()
    if granted:
        leases.grant.set()
    async with doubles.double(leases) as multiplexer, doubles.double(hang) as engine:
        text = leased(engine.url, multiplexer.url)
        async with doubles.router(tmp_path / "r.toml", text) as running:
            client = await Client.post(running.port, path, body(path))
            asked = engine if granted else multiplexer
            await asyncio.wait_for(asked.asked.wait(), 5)
            await settled(running, in_flight=1, used=2 if granted else 1)
            await client.leave()

            await asyncio.wait_for(multiplexer.gone.wait(), SOON)
            if granted:
                await asyncio.wait_for(engine.gone.wait(), SOON)
            await settled(running)
            assert leases.open == 0
