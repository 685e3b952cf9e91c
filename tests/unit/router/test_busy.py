"""More requests than a router or a tier takes at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.router import doubles
from tests.unit.router.asking import ASK, CHAT, FINE, WHOLE, Client, asker, hang, routed
from tests.unit.router.doubles import Answer, Seen


async def test_beyond_the_limit_a_request_is_refused_at_once(tmp_path: Path) -> None:
    async with doubles.double(hang) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with (
            doubles.router(tmp_path / "r.toml", text, max_concurrency=1) as running,
            asker(running.url) as client,
        ):
            first = await Client.post(running.port, CHAT, ASK)
            await asyncio.wait_for(engine.asked.wait(), 5)
            refused = await client.post(CHAT, json=ASK)

            assert refused.status_code == 503
            assert refused.json()["error"]["type"] == "server_busy"
            assert refused.headers["retry-after"] == "1"
            for path in ("/healthz", "/readyz", "/health", "/metrics", "/v1/models", "/v1/status"):
                assert (await client.get(path)).status_code == 200
            await first.leave()


async def test_a_tiers_slots_make_requests_wait_and_not_fail(tmp_path: Path) -> None:
    at_once = most = 0

    async def script(seen: Seen, answer: Answer) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        await answer.json(WHOLE)

    async with doubles.double(script) as engine:
        text = doubles.config(
            doubles.tier("a", engine.url, max_concurrency=2), presets='chat = ["a"]'
        )
        async with routed(tmp_path, text) as client:
            body = {**ASK, "stream": False}
            answers = await asyncio.gather(*(client.post(CHAT, json=body) for _ in range(12)))

            assert {answer.status_code for answer in answers} == {200}
            assert most == 2


async def test_a_busy_tier_is_passed_over_and_its_queue_is_bounded(tmp_path: Path) -> None:
    async with doubles.double(hang) as busy, doubles.double(FINE) as free:
        text = doubles.config(
            doubles.tier("a", busy.url, max_concurrency=1, max_queue=0),
            doubles.tier("b", free.url),
            presets='chat = ["a", "b"]\nonly = ["a"]',
            router_keys="fallback = {max_attempts = 1}\n",
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            first = await Client.post(running.port, CHAT, ASK)
            await asyncio.wait_for(busy.asked.wait(), 5)
            answer = await client.post(CHAT, json=ASK)

            assert answer.headers["x-anvil-tier"] == "b"
            assert answer.headers["x-anvil-tiers-tried"] == "b"
            assert answer.headers["x-anvil-fell-back"] == "false"

            refused = await client.post(CHAT, json={**ASK, "model": "only"})
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert len(busy.seen) == 1
            await first.leave()
