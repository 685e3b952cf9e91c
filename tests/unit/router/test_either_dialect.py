"""The official clients get what they know from engines of either dialect."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.router import doubles
from tests.unit.router.one_engine import EITHER, Kind, for_anthropic, for_openai, stack


@EITHER
async def test_the_openai_client_gets_an_answer_from_either_dialect(
    tmp_path: Path, kind: Kind
) -> None:
    async with stack(tmp_path, kind.dialect, kind.greets) as (running, engine):
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
        assert raw.headers.get("x-anvil-usage") == (
            "upstream" if kind.dialect == "anthropic" else None
        )
        assert raw.headers["x-anvil-tiers-tried"] == "one"
        assert engine.seen[0].json["model"] == "one-model"
        assert engine.seen[0].headers.get("authorization") is None


@EITHER
async def test_the_openai_client_streams_from_either_dialect(tmp_path: Path, kind: Kind) -> None:
    async with stack(tmp_path, kind.dialect, kind.greets) as (running, _engine):
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


@EITHER
async def test_the_openai_client_gets_tool_calls_in_fragments_from_either_dialect(
    tmp_path: Path, kind: Kind
) -> None:
    async with stack(tmp_path, kind.dialect, kind.calls) as (running, engine):
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
        if kind.dialect == "anthropic":
            assert chunks[-1].choices[0].finish_reason == "tool_calls"
            sent = engine.seen[0].json["tools"]
            assert sent == [{"name": "weather", "input_schema": {"type": "object"}}]


@EITHER
async def test_the_anthropic_client_gets_an_answer_from_either_dialect(
    tmp_path: Path, kind: Kind
) -> None:
    async with stack(tmp_path, kind.dialect, kind.greets) as (running, _engine):
        async with for_anthropic(running) as client:
            answer = await client.messages.create(
                model="chat", max_tokens=50, messages=[{"role": "user", "content": "hello"}]
            )

        assert [block.text for block in answer.content if block.type == "text"] == ["Hello"]
        assert answer.stop_reason == "end_turn"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 3)
        assert answer.model == "chat"


@EITHER
async def test_the_anthropic_client_streams_text_and_tools_from_either_dialect(
    tmp_path: Path, kind: Kind
) -> None:
    async with stack(tmp_path, kind.dialect, kind.calls) as (running, engine):
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
        if kind.dialect == "openai":
            options = {"include_usage": True}
            assert engine.seen[0].json["stream_options"] == options


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
