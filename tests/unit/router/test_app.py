"""The router over real sockets, asked by the official clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN, Double, Running, Script

OPENAI_TEXT = doubles.openai_events({"content": "Hel"}, {"content": "lo"})
TOOL_PIECES: list[object] = [
    {"content": "Let me look."},
    {"tool_calls": [{"index": 0, "id": "call_9", "type": "function",
                     "function": {"name": "weather", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]},
]  # fmt: skip
OPENAI_TOOLS = doubles.openai_events(*TOOL_PIECES, finish="stop")
ANTHROPIC_TEXT = doubles.anthropic_events(
    ({"type": "text", "text": ""},
     [{"type": "text_delta", "text": "Hel"}, {"type": "text_delta", "text": "lo"}])
)  # fmt: skip
ANTHROPIC_TOOLS = doubles.anthropic_events(
    ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Let me look."}]),
    ({"type": "tool_use", "id": "toolu_9", "name": "weather", "input": {}},
     [{"type": "input_json_delta", "partial_json": '{"city":'},
      {"type": "input_json_delta", "partial_json": '"Oslo"}'}]),
    stop="tool_use",
)  # fmt: skip
OPENAI_WHOLE = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "served-name", "timings": {"a": 1},
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "Hello"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}  # fmt: skip
ANTHROPIC_WHOLE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "served-name",
    "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
    "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 3},
}  # fmt: skip
HELLO = [{"role": "user", "content": "hello"}]


def by_stream(events: list[bytes], whole: object) -> Script:
    """An engine that streams where it is asked to."""

    async def script(seen: doubles.Seen, answer: doubles.Answer) -> None:
        if seen.json.get("stream"):
            await doubles.streams(events)(seen, answer)
        else:
            await answer.json(whole)

    return script


@asynccontextmanager
async def stack(
    tmp_path: Path, dialect: str, script: Script
) -> AsyncIterator[tuple[Running, Double]]:
    async with doubles.double(script) as engine:
        text = doubles.config(doubles.tier("one", engine.url, dialect), presets='chat = ["one"]')
        async with doubles.router(tmp_path / "router.toml", text) as running:
            yield running, engine


def for_openai(running: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=TOKEN, max_retries=0)


def for_anthropic(running: Running) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=running.url, api_key=TOKEN, max_retries=0)


ENGINES = [
    pytest.param("openai", OPENAI_TEXT, OPENAI_TOOLS, OPENAI_WHOLE, id="openai-engine"),
    pytest.param(
        "anthropic", ANTHROPIC_TEXT, ANTHROPIC_TOOLS, ANTHROPIC_WHOLE, id="anthropic-engine"
    ),
]
Events = list[bytes]


@pytest.mark.parametrize(("dialect", "text", "tools", "whole"), ENGINES)
async def test_the_openai_client_gets_an_answer_from_either_dialect(
    tmp_path: Path, dialect: str, text: Events, tools: Events, whole: object
) -> None:
    async with stack(tmp_path, dialect, by_stream(text, whole)) as (running, engine):
        async with for_openai(running) as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="chat", messages=[{"role": "user", "content": "hello"}]
            )
        answer = raw.parse()

        assert answer.choices[0].message.content == "Hello"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "chat"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
        assert raw.headers["x-anvil-tier"] == "one"
        assert raw.headers["x-anvil-model"] == "one-model"
        assert raw.headers["x-anvil-mode"] == "agentic"
        assert raw.headers["x-anvil-source"] == "declared-preset"
        assert raw.headers["x-anvil-fell-back"] == "false"
        assert raw.headers.get("x-anvil-usage") == ("upstream" if dialect == "anthropic" else None)
        assert raw.headers["x-anvil-tiers-tried"] == "one"
        assert engine.seen[0].json["model"] == "one-model"
        assert engine.seen[0].headers.get("authorization") is None


@pytest.mark.parametrize(("dialect", "text", "tools", "whole"), ENGINES)
async def test_the_openai_client_streams_from_either_dialect(
    tmp_path: Path, dialect: str, text: Events, tools: Events, whole: object
) -> None:
    async with stack(tmp_path, dialect, by_stream(text, whole)) as (running, _engine):
        async with for_openai(running) as client:
            stream = await client.chat.completions.create(
                model="chat",
                messages=[{"role": "user", "content": "hello"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = [chunk async for chunk in stream]

        words = [c.choices[0].delta.content for c in chunks if c.choices]
        assert "".join(word or "" for word in words) == "Hello"
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 3
        assert chunks[-1].usage.prompt_tokens == 7
        assert {chunk.model for chunk in chunks} == {"chat"}


@pytest.mark.parametrize(("dialect", "text", "tools", "whole"), ENGINES)
async def test_the_openai_client_gets_tool_calls_in_fragments_from_either_dialect(
    tmp_path: Path, dialect: str, text: Events, tools: Events, whole: object
) -> None:
    async with stack(tmp_path, dialect, by_stream(tools, whole)) as (running, engine):
        async with for_openai(running) as client:
            stream = await client.chat.completions.create(
                model="chat",
                messages=[{"role": "user", "content": "weather?"}],
                tools=[{"type": "function", "function": {"name": "weather"}}],
                stream=True,
            )
            chunks = [chunk async for chunk in stream]

        calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or []]
        fragments = [call.function.arguments for call in calls if call.function]
        assert json.loads("".join(part or "" for part in fragments)) == {"city": "Oslo"}
        assert len([part for part in fragments if part]) == 2
        assert calls[0].id in ("call_9", "toolu_9")
        assert all(chunk.choices for chunk in chunks)  # nobody asked for usage
        if dialect == "anthropic":
            assert chunks[-1].choices[0].finish_reason == "tool_calls"
            sent = engine.seen[0].json["tools"]
            assert sent == [{"name": "weather", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize(("dialect", "text", "tools", "whole"), ENGINES)
async def test_the_anthropic_client_gets_an_answer_from_either_dialect(
    tmp_path: Path, dialect: str, text: Events, tools: Events, whole: object
) -> None:
    async with stack(tmp_path, dialect, by_stream(text, whole)) as (running, _engine):
        async with for_anthropic(running) as client:
            answer = await client.messages.create(
                model="chat", max_tokens=50, messages=[{"role": "user", "content": "hello"}]
            )

        assert [block.text for block in answer.content if block.type == "text"] == ["Hello"]
        assert answer.stop_reason == "end_turn"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 3)
        assert answer.model == "chat"


@pytest.mark.parametrize(("dialect", "text", "tools", "whole"), ENGINES)
async def test_the_anthropic_client_streams_text_and_tools_from_either_dialect(
    tmp_path: Path, dialect: str, text: Events, tools: Events, whole: object
) -> None:
    async with stack(tmp_path, dialect, by_stream(tools, whole)) as (running, engine):
        async with (
            for_anthropic(running) as client,
            client.messages.stream(
                model="chat",
                max_tokens=50,
                messages=[{"role": "user", "content": "weather?"}],
                tools=[{"name": "weather", "input_schema": {"type": "object"}}],
            ) as stream,
        ):
            events = [event async for event in stream]
            final = await stream.get_final_message()

        assert [block.type for block in final.content] == ["text", "tool_use"]
        assert final.content[1].type == "tool_use"
        assert final.content[1].input == {"city": "Oslo"}
        assert final.stop_reason == "tool_use"
        assert final.usage.output_tokens == 3
        assert final.usage.input_tokens == 7
        deltas = [e for e in events if e.type == "content_block_delta"]
        assert len([e for e in deltas if e.delta.type == "input_json_delta"]) == 2
        if dialect == "openai":
            options = {"include_usage": True}
            assert engine.seen[0].json["stream_options"] == options


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


async def test_an_answer_says_where_its_counts_are_guesses(tmp_path: Path) -> None:
    events = doubles.anthropic_events(({"type": "text", "text": "Hello there, all of you."}, []))
    uncounted = [event.replace(b'"usage"', b'"unused"') for event in events]
    async with stack(tmp_path, "anthropic", doubles.streams(uncounted)) as (running, _engine):
        async with for_openai(running) as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="chat", messages=[{"role": "user", "content": "hello, and how are you?"}]
            )
        usage = raw.parse().usage

        assert raw.headers["x-anvil-usage"] == "estimated"
        assert usage is not None
        assert usage.prompt_tokens > 5
        assert usage.completion_tokens > 4


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
