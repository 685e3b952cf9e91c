"""The endpoints that ask no engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN, Running, Script
from tests.unit.router.one_engine import (
    ANTHROPIC_TEXT,
    ANTHROPIC_WHOLE,
    HELLO,
    OPENAI_TEXT,
    OPENAI_WHOLE,
    by_stream,
)

PRESETS = 'chat = ["one", "two"]\nquick-edit = ["two"]\nmine = ["gone"]'
ENGINE = by_stream(OPENAI_TEXT, OPENAI_WHOLE)


@asynccontextmanager
async def stack(
    tmp_path: Path, script: Script = ENGINE, *, server: str = "", keys: str = ""
) -> AsyncIterator[tuple[httpx.AsyncClient, Running]]:
    """Two local tiers, and a cloud tier without its key."""
    async with doubles.double(script) as engine:
        text = server + doubles.config(
            doubles.tier("one", engine.url),
            doubles.tier("two", engine.url, context_limit=10_000),
            doubles.tier("gone", "http://127.0.0.1:9", privacy="cloud", auth_env="NO_SUCH_KEY"),
            presets=PRESETS,
            router_keys=keys,
        )
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            doubles.router(tmp_path / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        ):
            yield client, running


async def chat(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    body = {"model": "chat", "messages": HELLO, **more}
    return await client.post("/v1/chat/completions", json=body)


# what would be done


async def test_a_decision_is_told_and_nobody_is_asked(tmp_path: Path) -> None:
    async with doubles.double(ENGINE) as engine:
        text = doubles.config(doubles.tier("one", engine.url), presets='quick-edit = ["one"]')
        async with (
            doubles.router(tmp_path / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
        ):
            answer = await client.post("/v1/route", json={"model": "Quick-Edit", "messages": HELLO})
        told = answer.json()

        assert answer.status_code == 200
        assert not engine.seen
        assert told["decision_id"] == answer.headers["x-request-id"]
        assert {key: told[key] for key in ("tier", "provider", "model", "work_class", "intent")} == {
            "tier": "local", "provider": "one", "model": "one-model",
            "work_class": "bounded-edit", "intent": "quick-edit",
        }  # fmt: skip
        assert (told["source"], told["confidence"]) == ("declared-preset", 1.0)
        assert told["candidates"] == [
            {"tier": "one", "model": "one-model", "verdict": "allow-with-verify", "handling": "raw"}
        ]
        assert (told["mode"], told["mapping_version"]) == ("agentic", "1")
        assert told["reason"]
        assert "notes" not in told


@pytest.mark.parametrize(
    ("body", "provider", "source"),
    [
        ({"model": "two"}, "two", "pinned"),
        ({"model": "gpt-4o", "system": "x", "max_tokens": 5}, "one", "inferred"),
        ({}, "one", "inferred"),
        ({"model": "two", "signals": {"work_class": "chat"}}, "one", "declared-preset"),
        ({"model": "chat", "signals": {"token_estimate": 9000}}, "two", "declared-preset"),
        ({"model": "chat", "signals": {"token_estimate": "9000"}}, "one", "declared-preset"),
        ({"model": "two", "signals": "junk"}, "two", "pinned"),
    ],
)
async def test_the_name_or_a_signal_decides(
    tmp_path: Path, body: dict[str, object], provider: str, source: str
) -> None:
    async with stack(tmp_path) as (client, _running):
        told = (await client.post("/v1/route", json=body)).json()

        assert (told["provider"], told["source"]) == (provider, source)


async def test_each_decision_has_a_session_of_its_own_and_notes_if_asked(tmp_path: Path) -> None:
    async with stack(tmp_path) as (client, _running):
        same = {"x-request-id": "mine"}
        first = await client.post("/v1/route", json={"model": "chat"}, headers=same)
        second = await client.post("/v1/route", json={"explain": True}, headers=same)

        assert first.json()["session_id"].startswith("rte_")
        assert first.json()["session_id"] != second.json()["session_id"]
        notes = second.json()["notes"]
        assert notes["pool"] == ["gone", "one", "two"]
        assert notes["dropped_by_metered_gate"] == ["gone"]
        assert notes["ambiguous"] is True


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"model": "mine"}', 503), (b"[]", 400), (b'{"model": 1}', 400)]
)
async def test_no_decision_is_an_error(tmp_path: Path, body: bytes, status: int) -> None:
    async with stack(tmp_path) as (client, _running):
        answer = await client.post("/v1/route", content=body)

        assert answer.status_code == status
        assert "gone" not in answer.text


async def test_where_nobody_may_answer_the_status_is_the_one_that_clients_get(
    tmp_path: Path,
) -> None:
    keys = "exhaustion_status = 529"
    async with stack(tmp_path, keys=keys) as (client, _running):
        body = {"model": "mine", "messages": HELLO}
        told = await client.post("/v1/route", json={**body, "explain": True})

        assert told.status_code == 529
        assert told.json()["notes"]
        assert (await chat(client, model="mine")).status_code == 529


# what has been done


async def test_the_last_decisions_are_kept_newest_first_and_without_a_word_said(
    tmp_path: Path,
) -> None:
    async with stack(tmp_path) as (client, _running):
        await chat(client, messages=[{"role": "user", "content": "a secret"}])
        second = await chat(client, model="two", stream=True)
        answer = await client.get("/v1/decisions", params={"limit": 1})
        (newest,) = answer.json()["data"]
        both = (await client.get("/v1/decisions")).json()["data"]

        assert newest["decision_id"] == second.headers["x-anvil-decision-id"]
        assert (newest["tier"], newest["source"], newest["status"]) == ("two", "pinned", 200)
        assert (newest["input_tokens"], newest["output_tokens"]) == (7, 3)
        assert newest["stream"] is True
        assert newest["total_ms"] >= newest["first_byte_ms"] > 0
        assert [each["tier"] for each in both] == ["two", "one"]
        assert "secret" not in json.dumps(both)


async def test_a_request_that_failed_is_kept_with_what_was_tried(tmp_path: Path) -> None:
    async with stack(tmp_path, doubles.answers({}, status=500)) as (client, _running):
        refused = await chat(client)
        (record,) = (await client.get("/v1/decisions")).json()["data"]

        assert refused.status_code == 503
        assert refused.headers["x-anvil-decision-id"] == record["decision_id"]
        assert [name for name in refused.headers if name.startswith("x-anvil")] == [
            "x-anvil-decision-id"
        ]
        assert record["failed"] == [["one", "status_500"], ["two", "status_500"]]
        assert record["status"] == 503


async def test_what_was_never_routed_is_no_decision(tmp_path: Path) -> None:
    async with stack(tmp_path) as (client, _running):
        await client.post("/v1/chat/completions", json={"model": "chat"})
        await client.get("/v1/models")

        assert (await client.get("/v1/decisions")).json()["data"] == []


@pytest.mark.parametrize("limit", ["0", "-1", "x", "10001", "²", ""])
async def test_a_wrong_limit_is_refused(tmp_path: Path, limit: str) -> None:
    async with stack(tmp_path) as (client, _running):
        answer = await client.get(f"/v1/decisions?limit={limit}")

        assert answer.status_code == 400


async def test_the_status_shows_tiers_and_load(tmp_path: Path) -> None:
    async with stack(tmp_path) as (client, running):
        running.hold.hold("switching", 60)
        told = (await client.get("/v1/status")).json()

        assert [tier["id"] for tier in told["tiers"]] == ["one", "two"]
        assert told["presets"]["chat"] == ["one", "two"]
        assert (told["held"], told["in_flight"], told["max_concurrency"]) == (True, 0, 64)


# metrics


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


# methods, paths, envelopes

GETS = ["/v1/models", "/v1/models/chat", "/v1/status", "/v1/decisions", "/metrics", "/health",
        "/healthz", "/readyz"]  # fmt: skip
POSTS = ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses",
         "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/route"]  # fmt: skip


@pytest.mark.parametrize("path", GETS)
async def test_head_is_get_without_the_body(tmp_path: Path, path: str) -> None:
    async with stack(tmp_path) as (client, _running):
        whole, head = await client.get(path), await client.head(path)

        assert head.status_code == whole.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == whole.headers["content-type"]


@pytest.mark.parametrize("path", [*GETS, *POSTS])
async def test_options_and_wrong_methods_name_the_right_ones(tmp_path: Path, path: str) -> None:
    async with stack(tmp_path) as (client, _running):
        options = await client.options(path)
        wrong = await client.request("PATCH", path, content=b"{}")

        allowed = "GET, HEAD, OPTIONS" if path in GETS else "OPTIONS, POST"
        assert (options.status_code, options.headers["allow"], options.content) == (
            204,
            allowed,
            b"",
        )
        assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)
        error = wrong.json()["error"]["type"]
        anthropic = path.startswith("/v1/messages")
        assert error == ("invalid_request_error" if anthropic else "method_not_allowed")
        assert wrong.json().get("type") == ("error" if anthropic else None)
        assert wrong.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/messages/nothing", "/v1/models/nothing"])
async def test_an_unknown_path_is_not_found_and_a_stranger_is_not_told(
    tmp_path: Path, path: str
) -> None:
    async with stack(tmp_path) as (client, running):
        known = await client.get(path)
        async with httpx.AsyncClient(base_url=running.url) as nobody:
            stranger = await nobody.get(path)

        kind = "not_found_error" if path.startswith("/v1/messages") else "not_found"
        assert (known.status_code, known.json()["error"]["type"]) == (404, kind)
        assert stranger.status_code == 401
        assert stranger.headers["www-authenticate"] == "Bearer"


async def test_queries_and_slashes_at_the_end_change_no_path(tmp_path: Path) -> None:
    async with stack(tmp_path, by_stream(ANTHROPIC_TEXT, ANTHROPIC_WHOLE)) as (client, _running):
        assert (await client.get("/v1/models//?beta=true")).status_code == 200
        answer = await client.post("/v1/messages/?beta=true", json={"model": "chat"})
        assert answer.status_code == 400


async def test_answers_say_what_was_decided(tmp_path: Path) -> None:
    async with stack(tmp_path) as (client, _running):
        answer = await chat(client, model="Quick-Edit")
        told = {k: v for k, v in answer.headers.items() if k.startswith("x-anvil")}

        assert told.pop("x-anvil-decision-id") == answer.headers["x-request-id"]
        assert told == {
            "x-anvil-tier": "two", "x-anvil-model": "two-model", "x-anvil-mode": "agentic",
            "x-anvil-source": "declared-preset", "x-anvil-intent": "quick-edit",
            "x-anvil-work-class": "bounded-edit", "x-anvil-verdict": "allow-with-verify",
            "x-anvil-fell-back": "false", "x-anvil-tiers-tried": "two",
            "x-anvil-mapping-version": "1",
        }  # fmt: skip


async def test_the_headers_can_be_switched_off(tmp_path: Path) -> None:
    server = "[server]\nexpose_decision_headers = false\n"
    async with stack(tmp_path, server=server) as (client, _running):
        answer = await chat(client)

        assert not [name for name in answer.headers if name.startswith("x-anvil")]
