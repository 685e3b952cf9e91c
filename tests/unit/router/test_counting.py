"""Counting tokens: asked of the engine where it can be, estimated where not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import httpx
import pytest

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN, Answer, Double, Running, Script, Seen

ASK = {
    "model": "chat",
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"},
        {"type": "text", "text": "Be kind."},
    ],
    "messages": [{"role": "user", "content": "hello there"}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
}
CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello there"}]


@asynccontextmanager
async def asked(
    tmp_path: Path, script: Script, **tier: object
) -> AsyncIterator[tuple[httpx.AsyncClient, Double, Running]]:
    async with doubles.double(script) as engine:
        text = doubles.config(doubles.tier("one", engine.url, **tier), presets='chat = ["one"]')  # type: ignore[arg-type]
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            doubles.router(tmp_path / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        ):
            yield client, engine, running


async def count(client: httpx.AsyncClient) -> tuple[int, str]:
    answer = await client.post("/v1/messages/count_tokens", json=ASK)
    assert answer.status_code == 200
    return answer.json()["input_tokens"], answer.headers["x-anvil-token-count"]


async def vllm(seen: Seen, answer: Answer) -> None:
    assert seen.path == "/tokenize"
    await answer.json({"count": 41, "max_model_len": 8192, "tokens": [1] * 41})


async def llamacpp(seen: Seen, answer: Answer) -> None:
    if seen.path == "/apply-template":
        await answer.json({"prompt": "<|system|>Be kind."})
    else:
        assert seen.path == "/tokenize"
        await answer.json({"tokens": [1, 2, 3]})


async def test_vllm_counts_the_chat_that_it_would_get(tmp_path: Path) -> None:
    async with asked(tmp_path, vllm, count_tokens="tokenize") as (client, engine, _running):
        assert await count(client) == (41, "exact")
        sent = engine.seen[0].json

        assert sent["messages"] == CHAT
        assert sent["model"] == "one-model"
        assert isinstance(sent["tools"], list)
        assert set(sent) == {"model", "messages", "tools", "add_generation_prompt"}


async def test_llamacpp_counts_what_its_template_makes_of_the_chat(tmp_path: Path) -> None:
    async with asked(tmp_path, llamacpp, count_tokens="template") as (client, engine, _running):
        assert await count(client) == (3, "exact")

        assert engine.seen[0].json["messages"] == CHAT
        assert engine.seen[1].json == {
            "content": "<|system|>Be kind.", "add_special": True, "parse_special": True,
        }  # fmt: skip


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_an_engine_with_anthropics_endpoint_is_asked_there(
    tmp_path: Path, dialect: str
) -> None:
    script = doubles.answers({"input_tokens": 17})
    keys = {"dialect": dialect} | ({"count_tokens": "messages"} if dialect == "openai" else {})
    async with asked(tmp_path, script, **keys) as (client, engine, _running):
        assert await count(client) == (17, "exact")
        seen = engine.seen[0]

        assert seen.path == "/v1/messages/count_tokens"
        assert seen.json == {
            "model": "one-model", "messages": ASK["messages"], "tools": ASK["tools"],
            "system": [{"type": "text", "text": "Be kind."}],
        }  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [doubles.answers({"error": "x"}, status=500), doubles.answers({"oops": 1})],
    ids=["refuses", "answers nonsense"],
)
async def test_an_engine_that_cannot_say_is_estimated_for(tmp_path: Path, script: Script) -> None:
    async with asked(tmp_path, script, count_tokens="tokenize") as (client, _engine, _running):
        tokens, how = await count(client)

    assert how == "estimate"
    assert 10 < tokens < 80


async def test_an_engine_without_a_tokenizer_is_not_asked(tmp_path: Path) -> None:
    async with asked(tmp_path, vllm) as (client, engine, _running):
        assert (await count(client))[1] == "estimate"
        assert not engine.seen


async def test_a_count_waits_for_no_mode_switch_and_asks_nobody_then(tmp_path: Path) -> None:
    async with asked(tmp_path, vllm, count_tokens="tokenize") as (client, engine, running):
        running.hold.hold("switching", 60)

        assert (await count(client))[1] == "estimate"
        assert not engine.seen


async def test_a_model_that_would_have_to_be_loaded_is_not_loaded_for_a_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUX_TOKEN", "t")
    async with doubles.double(vllm) as engine, doubles.double(doubles.answers({})) as multiplexer:
        tier = doubles.tier("one", engine.url, swap_group="g", count_tokens="tokenize")
        text = doubles.config(tier, presets='chat = ["one"]', multiplexer=multiplexer.url)
        async with (
            doubles.router(tmp_path / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN}) as client,
        ):
            assert await count(client) == (41, "exact")
            assert not multiplexer.seen


async def test_the_official_client_counts(tmp_path: Path) -> None:
    async with (
        asked(tmp_path, vllm, count_tokens="tokenize") as (_client, _engine, running),
        anthropic.AsyncAnthropic(base_url=running.url, api_key=TOKEN) as client,
    ):
        counted = await client.messages.count_tokens(
            model="chat", messages=[{"role": "user", "content": "hello"}]
        )

        assert counted.input_tokens == 41


@pytest.mark.parametrize(
    "body", [{"model": "chat"}, {"model": "chat", "messages": "x"}, {"messages": [], "system": 1}]
)
async def test_a_wrong_request_is_refused_in_anthropics_words(
    tmp_path: Path, body: dict[str, object]
) -> None:
    async with asked(tmp_path, vllm) as (client, _engine, _running):
        answer = await client.post("/v1/messages/count_tokens", content=json.dumps(body))

        assert answer.status_code == 400
        assert answer.json()["type"] == "error"
        assert answer.json()["error"]["type"] == "invalid_request_error"
