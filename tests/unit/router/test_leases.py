"""A tier that shares its device is asked with a lease of the multiplexer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.unit.router import doubles
from tests.unit.router.asking import ASK, CHAT, FINE, SOON, TEXT, Client, asker, hang
from tests.unit.router.doubles import Answer, Seen
from tests.unit.router.leases import Leases, leased

pytestmark = pytest.mark.usefixtures("mux_token")


async def test_a_lease_is_held_exactly_while_the_answer_is_relayed(tmp_path: Path) -> None:
    leases = Leases()
    finish = asyncio.Event()

    async def script(_seen: Seen, answer: Answer) -> None:
        assert leases.open == 1
        await answer.start()
        await answer.chunk(TEXT[0] + TEXT[1])
        await finish.wait()
        assert leases.open == 1
        for event in TEXT[2:]:
            await answer.chunk(event)
        await answer.end()

    async with (
        doubles.double(leases) as mux,
        doubles.double(script) as engine,
        doubles.router(tmp_path / "r.toml", leased(engine.url, mux.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        await asyncio.wait_for(mux.asked.wait(), 5)
        assert engine.seen == []
        leases.grant.set()
        await client.until(b"Hel")
        assert not mux.gone.is_set()
        finish.set()
        await client.until(b"0\r\n\r\n")
        await asyncio.wait_for(mux.gone.wait(), SOON)
        await client.leave()


async def test_a_refused_lease_is_a_failed_attempt(tmp_path: Path) -> None:
    async def refuse(_seen: Seen, answer: Answer) -> None:
        await answer.start("application/x-ndjson")
        line = {"state": "refused", "status": 503, "code": "backend_unavailable",
                "message": "m", "retry_after_s": 5}  # fmt: skip
        await answer.chunk(json.dumps(line).encode() + b"\n")
        await answer.end()

    async with (
        doubles.double(refuse) as mux,
        doubles.double(FINE) as engine,
        doubles.router(tmp_path / "r.toml", leased(engine.url, mux.url)) as running,
        asker(running.url) as client,
    ):
        answer = await client.post(CHAT, json=ASK)

        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert engine.seen == []


async def test_a_client_that_leaves_gives_up_its_place_in_the_queue(tmp_path: Path) -> None:
    async with (
        doubles.double(Leases()) as mux,
        doubles.double(FINE) as engine,
        doubles.router(tmp_path / "r.toml", leased(engine.url, mux.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        await asyncio.wait_for(mux.asked.wait(), 5)
        await client.leave()
        await asyncio.wait_for(mux.gone.wait(), SOON)
        assert engine.seen == []


async def test_a_client_that_leaves_while_streaming_gives_its_lease_back(tmp_path: Path) -> None:
    leases = Leases()
    leases.grant.set()
    async with (
        doubles.double(leases) as mux,
        doubles.double(hang) as engine,
        doubles.router(tmp_path / "r.toml", leased(engine.url, mux.url)) as running,
    ):
        client = await Client.post(running.port, CHAT, ASK)
        await asyncio.wait_for(engine.asked.wait(), 5)
        await client.leave()
        await asyncio.wait_for(mux.gone.wait(), SOON)
        await asyncio.wait_for(engine.gone.wait(), SOON)
