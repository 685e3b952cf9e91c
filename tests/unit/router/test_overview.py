"""The endpoints that ask no engine."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN
from tests.unit.router.one_engine import (
    ANTHROPIC_TEXT,
    ANTHROPIC_WHOLE,
    HELLO,
    by_stream,
)
from tests.unit.router.two_tiers import ENGINE, chat, stack

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
