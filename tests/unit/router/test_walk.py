"""Candidates tried in order; leases, holds and reloads around them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from anvil_ctl.errors import ConfigError
from tests.unit.router import doubles
from tests.unit.router.doubles import ADMIN, TOKEN, Answer, Seen
from tests.unit.router.test_relay import ASK, CHAT, SOON, TEXT, Client, hang

WHOLE = {
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    ],
}
FINE = doubles.streams(TEXT)


def asker(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"x-api-key": TOKEN})


async def cut(_seen: Seen, answer: Answer) -> None:
    answer.cut()


async def empty_stream(_seen: Seen, answer: Answer) -> None:
    await answer.start()
    await answer.end()


async def role_then_cut(_seen: Seen, answer: Answer) -> None:
    await answer.start()
    await answer.chunk(TEXT[0])
    await answer.end()


FAILURES = [
    pytest.param(doubles.answers({}, 500), id="500"),
    pytest.param(doubles.answers({}, 429), id="429"),
    pytest.param(doubles.answers({}, 404), id="404"),
    pytest.param(doubles.answers({}, 401), id="401"),
    pytest.param(doubles.answers({}, 302, "location: http://127.0.0.1:1/\r\n"), id="redirect"),
    pytest.param(doubles.answers({"id": 1}), id="malformed"),
    pytest.param(cut, id="reset"),
    pytest.param(empty_stream, id="empty-stream"),
    pytest.param(role_then_cut, id="ends-before-content"),
    pytest.param(doubles.streams([b'data: {"error":{"message":"x"}}\n\n']), id="error-event"),
]


@pytest.mark.parametrize("fails", FAILURES)
async def test_a_failure_before_the_first_event_is_answered_by_the_next_tier(
    tmp_path: Path, fails: doubles.Script
) -> None:
    async with doubles.double(fails) as first, doubles.double(FINE) as second:
        text = doubles.config(
            doubles.tier("a", first.url),
            doubles.tier("b", second.url),
            presets='chat = ["a", "b"]',
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            answer = await client.post(CHAT, json=ASK)

            assert answer.status_code == 200
            assert "[DONE]" in answer.text
            assert answer.headers["x-anvil-tier"] == "b"
            assert answer.headers["x-anvil-fell-back"] == "true"
            assert answer.headers["x-anvil-tiers-tried"] == "a,b"


async def test_a_refused_connection_is_answered_by_the_next_tier(tmp_path: Path) -> None:
    async with doubles.double(FINE) as second:
        text = doubles.config(
            doubles.tier("a", "http://127.0.0.1:9"),
            doubles.tier("b", second.url),
            presets='chat = ["a", "b"]',
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            assert (await client.post(CHAT, json=ASK)).headers["x-anvil-tier"] == "b"


async def test_a_pinned_tier_has_no_substitute(tmp_path: Path) -> None:
    async with doubles.double(cut) as first, doubles.double(FINE) as second:
        text = doubles.config(
            doubles.tier("a", first.url),
            doubles.tier("b", second.url),
            presets='chat = ["a", "b"]',
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            answer = await client.post(CHAT, json={**ASK, "model": "A"})

            assert answer.status_code == 503
            assert second.seen == []
            assert "x-anvil-tier" not in answer.headers


async def test_a_client_fault_is_the_clients_answer(tmp_path: Path) -> None:
    fault = doubles.answers({"error": {"message": "secret host"}}, 400)
    async with doubles.double(fault) as first, doubles.double(FINE) as second:
        text = doubles.config(
            doubles.tier("a", first.url),
            doubles.tier("b", second.url),
            presets='chat = ["a", "b"]',
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            answer = await client.post(CHAT, json=ASK)

            assert answer.status_code == 400
            assert "secret" not in answer.text
            assert second.seen == []


async def test_what_one_dialect_cannot_say_goes_to_a_tier_of_the_other_or_is_400(
    tmp_path: Path,
) -> None:
    async with doubles.double(FINE) as first, doubles.double(FINE) as second:
        text = doubles.config(
            doubles.tier("a", first.url, "anthropic"),
            doubles.tier("b", second.url),
            presets='chat = ["a", "b"]',
        )
        tool = {"type": "function", "function": {"name": "f"}}
        body = {**ASK, "response_format": {"type": "json_object"}, "tools": [tool]}
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            answer = await client.post(CHAT, json=body)
            assert answer.headers["x-anvil-tier"] == "b"
            assert first.seen == []

            refused = await client.post(CHAT, json={**body, "model": "a"})
            assert refused.status_code == 400
            assert "response_format" in refused.json()["error"]["message"]


async def test_a_request_too_long_for_one_tier_goes_to_a_larger_one_or_is_413(
    tmp_path: Path,
) -> None:
    full = doubles.answers({"error": {"message": "exceeds the available context size"}}, 400)
    async with doubles.double(full) as small, doubles.double(FINE) as large:
        text = doubles.config(
            doubles.tier("a", small.url),
            doubles.tier("same", small.url),
            doubles.tier("b", large.url, context_limit=100_000),
            presets='chat = ["a", "same", "b"]\nsmall = ["a", "same"]',
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            answer = await client.post(CHAT, json=ASK)
            assert answer.headers["x-anvil-tiers-tried"] == "a,b"

            refused = await client.post(CHAT, json={**ASK, "model": "small"})
            assert refused.status_code == 413


async def test_retry_after_is_told_to_the_client(tmp_path: Path) -> None:
    busy = doubles.answers({}, 429, "retry-after: 17\r\n")
    async with doubles.double(busy) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            answer = await client.post(CHAT, json=ASK)

            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "17"


def leased(engine: str, multiplexer: str) -> str:
    return doubles.config(
        doubles.tier("a", engine, swap_group="cpu"),
        presets='chat = ["a"]',
        multiplexer=multiplexer,
    )


@pytest.fixture(autouse=True)
def mux_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUX_TOKEN", "mux-secret")


class Leases:
    """A multiplexer that grants when told to, and sees leases end."""

    def __init__(self) -> None:
        self.grant = asyncio.Event()
        self.open = 0

    async def __call__(self, seen: Seen, answer: Answer) -> None:
        assert seen.path == "/v1/lease"
        assert seen.headers["authorization"] == "Bearer mux-secret"
        assert seen.json == {"model": "a-model"}
        self.open += 1
        try:
            await answer.start("application/x-ndjson")
            await answer.chunk(b'{"state":"queued","position":1,"estimate_s":3.2}\n')
            await self.grant.wait()
            await answer.chunk(b'{"state":"granted","model":"a-model","url":"x","waited_s":0}\n')
            await asyncio.Event().wait()
        finally:
            self.open -= 1


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


async def test_connections_to_an_engine_are_kept_and_reused(tmp_path: Path) -> None:
    async with doubles.double(doubles.answers(WHOLE)) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            for _ in range(5):
                answer = await client.post(CHAT, json={**ASK, "stream": False})
                assert answer.status_code == 200

            assert engine.connections == 1


def admin(running: doubles.Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.admin, headers={"authorization": f"Bearer {ADMIN}"})


async def test_requests_held_during_a_change_are_answered_by_the_new_configuration(
    tmp_path: Path,
) -> None:
    async with doubles.double(FINE) as old, doubles.double(FINE) as new:
        first = doubles.config(doubles.tier("a", old.url), presets='chat = ["a"]')
        second = doubles.config(doubles.tier("b", new.url), presets='chat = ["b"]')
        async with (
            doubles.router(tmp_path / "r.toml", first) as running,
            asker(running.url) as client,
            admin(running) as boss,
        ):
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

    async with doubles.double(script) as old, doubles.double(FINE) as new:
        first = doubles.config(doubles.tier("a", old.url), presets='chat = ["a"]')
        second = doubles.config(doubles.tier("b", new.url), presets='chat = ["b"]')
        async with (
            doubles.router(tmp_path / "r.toml", first) as running,
            asker(running.url) as client,
            admin(running) as boss,
        ):
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
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
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


async def test_a_refused_credential_is_said_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with doubles.double(doubles.answers({}, 403)) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            assert (await client.post(CHAT, json=ASK)).status_code == 503

    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["tier a does not accept the credential in TIER_KEY"]
