"""The router over real sockets: its paths, what it refuses, and in whose words."""

from __future__ import annotations

from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN
from tests.unit.router.one_engine import (
    HELLO,
    OPENAI_TEXT,
    OPENAI_WHOLE,
    by_stream,
    for_anthropic,
    for_openai,
    stack,
)


async def test_errors_reach_each_client_as_its_own_exception(tmp_path: Path) -> None:
    refuses = doubles.answers({"error": {"message": "host engine-3 exploded"}}, 503)
    async with stack(tmp_path, "openai", refuses) as (running, _engine):
        async with for_openai(running) as client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(
                    model="chat", messages=[{"role": "user", "content": "x"}]
                )
        assert caught.value.status_code == 503
        assert "engine-3" not in str(caught.value)
        async with for_anthropic(running) as other:
            with pytest.raises(anthropic.APIStatusError) as told:
                await other.messages.create(
                    model="chat", max_tokens=5, messages=[{"role": "user", "content": "x"}]
                )
        assert told.value.status_code == 503
        body = told.value.body
        assert isinstance(body, dict)
        assert body["error"]["type"] == "overloaded_error"


async def test_a_wrong_credential_is_refused_in_the_dialect_of_the_path(tmp_path: Path) -> None:
    async with stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, engine):
        wrong = anthropic.AsyncAnthropic(base_url=running.url, api_key="no", max_retries=0)
        async with wrong as client:
            with pytest.raises(anthropic.AuthenticationError):
                await client.messages.create(
                    model="chat", max_tokens=5, messages=[{"role": "user", "content": "x"}]
                )
        assert engine.seen == []


async def test_a_same_dialect_body_arrives_as_it_was_sent(tmp_path: Path) -> None:
    body = {
        "model": "anvil/Chat",
        "messages": [{"role": "user", "name": "eve", "content": [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}],
        "response_format": {"type": "json_object"}, "parallel_tool_calls": False, "seed": 4,
        "logit_bias": {"1": 2}, "user": "u", "made_up": [1], "signals": {"a": 1},
    }  # fmt: skip
    async with (
        stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, engine),
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
    ):
        answer = await client.post("/v1/chat/completions", json=body)

        expected = {**body, "model": "one-model", "stream": False}
        del expected["signals"]
        assert engine.seen[0].json == expected
        assert answer.json()["timings"] == {"a": 1}
        assert answer.json()["model"] == "anvil/Chat"


async def test_the_model_list_shows_the_presets_to_both_kinds_of_client(tmp_path: Path) -> None:
    async with stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (
        running,
        _engine,
    ):
        async with for_openai(running) as client:
            listed = [model.id async for model in client.models.list()]
            assert (await client.models.retrieve("chat")).id == "chat"
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("nothing")
        async with for_anthropic(running) as other:
            shown = [model.display_name async for model in other.models.list()]

        assert listed == shown == ["chat"]


async def test_health_needs_no_credential_and_names_no_tier(tmp_path: Path) -> None:
    async with (
        stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, _engine),
        httpx.AsyncClient(base_url=running.url) as client,
    ):
        answer = await client.get("/healthz")

        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"
        assert "one" not in answer.text
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.head("/healthz")).status_code == 200
        assert (await client.get("/health")).status_code == 401


BAD = [
    pytest.param("/v1/chat/completions", {"messages": [{"role": {}}]}, "messages.0.role", id="role-object"),
    pytest.param("/v1/messages", {"messages": [{"role": []}], "max_tokens": 1}, "messages.0.role", id="role-list"),
    pytest.param("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1.5}, "max_tokens", id="half"),
    pytest.param("/v1/chat/completions", {"model": "chat"}, "messages", id="no-messages"),
    pytest.param("/v1/chat/completions", {"messages": HELLO, "stream": "false"}, "stream", id="stream"),
    pytest.param("/v1/chat/completions", {"messages": HELLO, "max_tokens": "9"}, "max_tokens", id="max"),
    pytest.param("/v1/chat/completions", {"messages": [{"role": "x"}]}, "role", id="role"),
    pytest.param("/v1/messages", {"messages": HELLO}, "max_tokens", id="anthropic-max"),
    pytest.param("/v1/messages", {"messages": HELLO, "max_tokens": 0}, "max_tokens", id="zero"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "field"), BAD)
async def test_a_wrong_field_is_named(
    tmp_path: Path, path: str, body: dict[str, object], field: str
) -> None:
    async with (
        stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, engine),
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
    ):
        answer = await client.post(path, json=body)

        assert answer.status_code == 400
        assert field in answer.json()["error"]["message"]
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert engine.seen == []


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"a": NaN}', b"\xff\xfe", b"[" * 5000])
async def test_a_body_that_is_no_json_object_is_refused(tmp_path: Path, body: bytes) -> None:
    async with (
        stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, _engine),
        httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
    ):
        answer = await client.post("/v1/chat/completions", content=body)

        assert answer.status_code == 400


async def test_a_cloud_tier_gets_what_its_table_and_the_routers_let_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIER_KEY", "secret")
    body = {"model": "chat", "messages": HELLO, "max_tokens": 9, "user": "u", "made_up": 1}
    async with doubles.double(by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as engine:
        keys = {"privacy": "cloud", "max_tokens_field": "max_completion_tokens"}
        text = doubles.config(
            doubles.tier("one", engine.url, **keys),
            presets='chat = ["one"]',
            router_keys='metered_cloud = ["chat"]\nforward_session_fields = true\n',
        )
        async with (
            doubles.router(tmp_path / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
        ):
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200

        assert engine.seen[0].json == {
            "model": "one-model", "messages": HELLO, "stream": False, "user": "u",
            "max_completion_tokens": 9,
        }  # fmt: skip
