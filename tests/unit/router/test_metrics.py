"""What Prometheus reads of a router."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN
from tests.unit.router.one_engine import (
    HELLO,
)
from tests.unit.router.two_tiers import ENGINE, chat, stack


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


async def test_metrics_count_requests_in_the_configurations_words(tmp_path: Path) -> None:
    async with stack(tmp_path) as (client, _running):
        await chat(client, model="whatever/../name\n")
        await chat(client)
        await chat(client, stream=True)
        await client.post("/v1/messages", json={"model": "two", "messages": HELLO, "max_tokens": 5})
        answer = await client.get("/metrics")
        found = list(samples(answer.text))

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert ("anvil_requests_total", {
        "dialect": "openai", "source": "declared-preset", "intent": "chat", "work_class": "chat",
        "outcome": "served", "mode": "agentic"}, 2.0) in found  # fmt: skip
    assert ("anvil_requests_total", {
        "dialect": "anthropic", "source": "pinned", "intent": "", "work_class": "chat",
        "outcome": "served", "mode": "agentic"}, 1.0) in found  # fmt: skip
    assert ("anvil_tokens_total", {"tier": "one", "direction": "input"}, 21.0) in found
    assert ("anvil_first_byte_seconds_count", {"tier": "two", "path": "raw"}, 1.0) in found
    assert ("anvil_in_flight", {"tier": "one"}, 0.0) in found
    assert ("anvil_circuit_open", {"tier": "one"}, 0.0) in found
    assert "whatever" not in answer.text


async def test_metrics_tell_who_is_served_and_who_waits_for_each_tier(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slow(seen: doubles.Seen, answer: doubles.Answer) -> None:
        await go.wait()
        await ENGINE(seen, answer)

    async with doubles.double(slow) as engine:
        text = doubles.config(
            doubles.tier("one", engine.url, max_concurrency=1),
            doubles.tier("two", engine.url),
            presets='chat = ["one"]',
        )
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            doubles.router(tmp_path / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        ):
            waiting = [asyncio.create_task(chat(client)) for _ in range(3)]
            during = await gauges(client)
            async with asyncio.timeout(5):
                while during["one"] != (1, 2):
                    during = await gauges(client)
            go.set()
            answers = await asyncio.gather(*waiting)
            after = await gauges(client)

    assert [answer.status_code for answer in answers] == [200] * 3
    assert during["two"] == (0, 0)
    assert after == {"one": (0, 0), "two": (0, 0)}


async def gauges(client: httpx.AsyncClient) -> dict[str, tuple[float, float]]:
    """What is in flight and what waits, by tier."""
    text = (await client.get("/metrics")).text
    found = {(name, labels.get("tier")): value for name, labels, value in samples(text)}
    return {
        tier: (found["anvil_in_flight", tier], found["anvil_queue_depth", tier])
        for tier in ("one", "two")
    }


async def test_metrics_count_what_failed_and_what_was_turned_away(tmp_path: Path) -> None:
    async with stack(tmp_path, doubles.answers({}, status=507)) as (client, running):
        await chat(client)
        for _ in range(64):
            await running.hold.enter()
        await chat(client)
        found = list(samples((await client.get("/metrics")).text))

    assert ("anvil_attempts_total", {"tier": "one", "outcome": "status_5xx"}, 1.0) in found
    assert ("anvil_admission_rejected_total", {}, 1.0) in found
    assert [labels["outcome"] for name, labels, _ in found if name == "anvil_requests_total"] == [
        "unserved"
    ]


async def test_metrics_say_what_is_loaded_and_how_many_rows_are_trusted(tmp_path: Path) -> None:
    rows = [
        {"tier_id": tier, "work_class": work, "decision": "allow", "quality_score": 0.9,
         "sample_n": 1, "stale": stale}
        for tier, work, stale in (("one", "chat", False), ("two", "chat", True),
                                  ("two", "review", False), ("nobody", "chat", False))
    ]  # fmt: skip
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"schema": "anvil-ctl.profile/1", "entries": rows}))
    async with stack(tmp_path, keys=f'profile_path = "{profile}"') as (client, running):
        experience = running.router._state.live.experience
        before = list(samples((await client.get("/metrics")).text))
        experience.residency.told({"cards": "one"}, experience.clock())
        after = list(samples((await client.get("/metrics")).text))

    assert "anvil_resident" not in [name for name, _labels, _value in before]
    assert ("anvil_resident", {"group": "cards", "tier": "one"}, 1.0) in after
    rows_told = {
        (labels["verdict"], labels["stale"]): value
        for name, labels, value in after
        if name == "anvil_profile_rows"
    }
    assert rows_told == {("allow", "false"): 2.0, ("allow-with-verify", "true"): 1.0}
    assert ("anvil_profile_stale", {"tier": "two"}, 1.0) in after


@pytest.mark.parametrize(
    ("metrics", "stranger", "known"), [("open", 200, 200), ("auth", 401, 200), ("off", 401, 404)]
)
async def test_who_may_read_the_metrics_is_configured(
    tmp_path: Path, metrics: str, stranger: int, known: int
) -> None:
    server = f'[server]\nmetrics = "{metrics}"\n'
    async with stack(tmp_path, server=server) as (client, running):
        async with httpx.AsyncClient(base_url=running.url) as nobody:
            assert (await nobody.get("/metrics")).status_code == stranger
        assert (await client.get("/metrics")).status_code == known
