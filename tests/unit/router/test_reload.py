"""A change of configuration: holds and reloads around requests, and files that are wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from anvil_ctl.errors import ConfigError
from tests.unit.router import doubles
from tests.unit.router.asking import ASK, CHAT, FINE, TEXT, Client, admin, asker, hang
from tests.unit.router.doubles import Answer, Running, Script, Seen


@contextlib.asynccontextmanager
async def changing(
    tmp_path: Path, script: Script
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, httpx.AsyncClient, str]]:
    """A router before tier a, which has a script, its user and its administrator, and a file that
    has tier b instead."""
    async with doubles.double(script) as old, doubles.double(FINE) as new:
        first = doubles.config(doubles.tier("a", old.url), presets='chat = ["a"]')
        second = doubles.config(doubles.tier("b", new.url), presets='chat = ["b"]')
        async with (
            doubles.router(tmp_path / "r.toml", first) as running,
            asker(running.url) as client,
            admin(running) as boss,
        ):
            yield running, client, boss, second


async def test_requests_held_during_a_change_are_answered_by_the_new_configuration(
    tmp_path: Path,
) -> None:
    async with changing(tmp_path, FINE) as (running, client, boss, second):
        assert (await client.post(CHAT, json=ASK)).headers["x-anvil-tier"] == "a"
        await boss.post("/admin/hold", json={"reason": "switch", "max_s": 30})
        held = [asyncio.create_task(client.post(CHAT, json=ASK)) for _ in range(20)]
        while (await boss.get("/admin/status")).json()["waiting"] < 20:
            assert not any(task.done() for task in held)
        drained = (await boss.post("/admin/drain", json={"timeout_s": 5})).json()
        assert drained == {"drained": True, "in_flight": 0}
        running.file.write_text(second)
        status = (await boss.post("/admin/reload", content=b"")).json()
        assert [tier["id"] for tier in status["tiers"]] == ["b"]
        await boss.post("/admin/release", content=b"")

        answers = await asyncio.gather(*held)
        assert {answer.headers["x-anvil-tier"] for answer in answers} == {"b"}
        assert {answer.status_code for answer in answers} == {200}


async def test_a_stream_begun_before_a_reload_finishes_on_the_old_configuration(
    tmp_path: Path,
) -> None:
    finish = asyncio.Event()

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        await answer.chunk(TEXT[0] + TEXT[1])
        await finish.wait()
        for event in TEXT[2:]:
            await answer.chunk(event)
        await answer.end()

    async with changing(tmp_path, script) as (running, client, boss, second):
        streaming = await Client.post(running.port, CHAT, ASK)
        await streaming.until(b"Hel")
        running.file.write_text(second)
        await boss.post("/admin/reload", content=b"")
        assert (await client.post(CHAT, json=ASK)).headers["x-anvil-tier"] == "b"
        finish.set()
        assert b"[DONE]" in await streaming.until(b"0\r\n\r\n")
        await streaming.leave()


async def test_a_wrong_file_is_refused_and_the_old_one_kept(tmp_path: Path) -> None:
    async with doubles.double(FINE) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
            admin(running) as boss,
        ):
            before = (await boss.get("/admin/status")).json()
            running.file.write_text(text.replace('chat = ["a"]', 'chat = ["z"]'))
            refused = await boss.post("/admin/reload", content=b"")

            assert refused.status_code == 400
            assert "z" in refused.json()["error"]["message"]
            after = (await boss.get("/admin/status")).json()
            assert after["config_hash"] == before["config_hash"]
            assert (await client.post(CHAT, json=ASK)).status_code == 200


async def test_a_reload_does_not_forget_who_is_under_way(tmp_path: Path) -> None:
    async with doubles.double(hang) as engine:
        text = doubles.config(
            doubles.tier("a", engine.url, max_concurrency=1, max_queue=0), presets='chat = ["a"]'
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
            admin(running) as boss,
        ):
            first = await Client.post(running.port, CHAT, ASK)
            await asyncio.wait_for(engine.asked.wait(), 5)
            running.file.write_text(text.replace('mapping_version = "1"', 'mapping_version = "2"'))
            status = (await boss.post("/admin/reload", content=b"")).json()

            assert status["mapping_version"] == "2"
            assert status["tiers"][0]["in_flight"] == 1
            assert (await client.post(CHAT, json=ASK)).status_code == 503
            await first.leave()


async def test_a_credential_that_no_header_can_carry_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIER_KEY", "se\r\ncret")
    text = doubles.config(doubles.tier("a", "http://127.0.0.1:9"), presets='chat = ["a"]')
    with pytest.raises(ConfigError) as caught:
        async with doubles.router(tmp_path / "r.toml", text):
            pass

    assert "TIER_KEY" in caught.value.message
    assert "cret" not in caught.value.message
