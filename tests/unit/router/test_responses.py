"""The Responses endpoint over real sockets, asked by the official client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN
from tests.unit.router.one_engine import (
    ANTHROPIC_TEXT,
    ANTHROPIC_WHOLE,
    EITHER,
    OPENAI_TEXT,
    OPENAI_WHOLE,
    Kind,
    by_stream,
    for_openai,
    stack,
)

WEATHER: list[dict[str, object]] = [
    {"type": "function", "name": "weather", "strict": False,
     "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
]  # fmt: skip
# What an agent sends besides what the engine needs.
AGENT: dict[str, object] = {
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "high", "summary": "auto"},
    "text": {"verbosity": "low"},
    "prompt_cache_key": "s1",
    "extra_body": {"client_metadata": {"session_id": "s1"}},
}


def responses(client: openai.AsyncOpenAI) -> Any:
    """The client's own endpoint, untyped: what it gets is checked and not what its types allow."""
    return client.responses


@EITHER
async def test_the_client_gets_a_response_from_either_dialect(tmp_path: Path, kind: Kind) -> None:
    async with stack(tmp_path, kind.dialect, kind.greets) as (running, engine):
        async with for_openai(running) as client:
            raw = await responses(client).with_raw_response.create(
                model="chat", instructions="Be kind.", input="hello", max_output_tokens=50
            )
        response = raw.parse()

        assert response.output_text == "Hello"
        assert response.status == "completed"
        assert (response.model, response.instructions) == ("chat", "Be kind.")
        assert response.usage is not None
        assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 3)
        assert response.usage.total_tokens == 10
        assert response.store is False
        assert raw.headers["x-anvil-tier"] == "one"
        sent = engine.seen[0].json
        assert sent["model"] == "one-model"
        assert sent["max_tokens"] == 50


@EITHER
async def test_the_client_streams_text_and_calls_from_either_dialect(
    tmp_path: Path, kind: Kind
) -> None:
    async with (
        stack(tmp_path, kind.dialect, kind.calls) as (running, _engine),
        for_openai(running) as client,
        responses(client).stream(model="chat", input="weather?", tools=WEATHER, **AGENT) as stream,
    ):
        events = [event async for event in stream]
        response = await stream.get_final_response()

        numbers = [event.sequence_number for event in events]
        assert numbers == list(range(len(events)))
        assert [event.type for event in events] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
        said, call = response.output
        assert said.type == "message"
        assert call.type == "function_call"
        assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Oslo"})
        assert call.call_id in ("call_9", "toolu_9")
        assert response.output_text == "Let me look."


async def test_a_conversation_without_state_goes_to_a_chat_engine(tmp_path: Path) -> None:
    items = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "where?"}]},
        {"role": "user", "content": "and when?"},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "spawn", "namespace": "agents",
         "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call_output", "call_id": "c2", "output": [
            {"type": "input_text", "text": "seen"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA"}]},
        {"type": "message", "role": "developer", "content": "Be brief."},
    ]  # fmt: skip
    tools = [
        *WEATHER,
        {"type": "namespace", "name": "agents", "description": "d",
         "tools": [{"type": "function", "name": "spawn", "parameters": {"type": "object"}}]},
        {"type": "web_search", "external_web_access": True},
        {"type": "custom", "name": "patch", "description": "Patches.",
         "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
    ]  # fmt: skip
    async with stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, engine):
        async with for_openai(running) as client:
            response = await responses(client).create(
                model="chat",
                input=items,
                tools=tools,
                tool_choice="auto",
                **AGENT,
            )
        sent = engine.seen[0].json

        assert sent["messages"] == [
            {"role": "system", "content": "Rules."},
            {"role": "user", "content": "where?\n\nand when?"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                {"id": "c2", "type": "function",
                 "function": {"name": "agents__spawn", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "tool", "tool_call_id": "c2", "content": "seen\n[image below]"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "text", "text": "Be brief."}]},
        ]  # fmt: skip
        offered = sent["tools"]
        assert isinstance(offered, list)
        assert [tool["function"]["name"] for tool in offered] == [
            "weather",
            "agents__spawn",
            "patch",
        ]
        assert "lark grammar:\nstart: x" in offered[2]["function"]["description"]
        assert sent["reasoning_effort"] == "high"
        assert [tool.type for tool in response.tools] == ["function", "namespace", "custom"]


async def test_calls_come_back_under_the_names_that_the_caller_knows(tmp_path: Path) -> None:
    calls = [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "agents__spawn", "arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "id": "b",
                         "function": {"name": "patch", "arguments": '{"input": "*** Be'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": 'gin"}'}}]},
    ]  # fmt: skip
    tools = [
        {"type": "namespace", "name": "agents", "description": "d",
         "tools": [{"type": "function", "name": "spawn"}]},
        {"type": "custom", "name": "patch"},
    ]  # fmt: skip
    script = doubles.streams(doubles.openai_events(*calls, finish="tool_calls"))
    async with stack(tmp_path, "openai", script) as (running, _engine):
        async with for_openai(running) as client:
            whole = await responses(client).create(model="chat", input="go", tools=tools)
            stream = responses(client).stream(model="chat", input="go", tools=tools)
            async with stream as events:
                told = [event async for event in events]
                streamed = await events.get_final_response()

        for response in (whole, streamed):
            spawn, patch = response.output
            assert (spawn.name, spawn.namespace, spawn.arguments) == ("spawn", "agents", "{}")
            assert (patch.type, patch.name, patch.input) == (
                "custom_tool_call",
                "patch",
                "*** Begin",
            )
            assert (spawn.call_id, patch.call_id) == ("a", "b")
        done = next(e for e in told if e.type == "response.custom_tool_call_input.done")
        assert done.input == "*** Begin"


async def test_reasoning_is_told_and_comes_back_to_the_engine_unchanged(tmp_path: Path) -> None:
    pieces = [{"reasoning_content": "Hm, "}, {"reasoning_content": "é?"}, {"content": "Yes."}]
    async with (
        stack(tmp_path, "openai", doubles.streams(doubles.openai_events(*pieces))) as (
            running,
            engine,
        ),
        for_openai(running) as client,
    ):
        async with responses(client).stream(model="chat", input="q", **AGENT) as stream:
            told = [e.delta async for e in stream if e.type == "response.reasoning_text.delta"]
            response = await stream.get_final_response()
        thought = response.output[0]
        assert thought.type == "reasoning"
        assert told == ["Hm, ", "é?"]

        # An agent without state keeps the packed copy alone.
        kept = {"type": "reasoning", "summary": [], "encrypted_content": thought.encrypted_content}
        again = [{"role": "user", "content": "q"}, kept, response.output[1].to_dict(),
                 {"role": "user", "content": "why?"}]  # fmt: skip
        await responses(client).create(model="chat", input=again)

        messages = engine.seen[1].json["messages"]
        assert isinstance(messages, list)
        thought = {"reasoning_content": "Hm, é?", "reasoning": "Hm, é?"}
        assert messages[1] == {"role": "assistant", "content": "Yes.", **thought}


SIGNED = doubles.anthropic_events(
    ({"type": "thinking", "thinking": "", "signature": ""},
     [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "sig"}]),
    ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Yes."}]),
)  # fmt: skip


@pytest.mark.parametrize("streamed", [True, False])
async def test_signed_thoughts_come_back_to_an_anthropic_engine_with_their_signature(
    tmp_path: Path, streamed: bool
) -> None:
    async with (
        stack(tmp_path, "anthropic", doubles.streams(SIGNED)) as (running, engine),
        for_openai(running) as client,
    ):
        if streamed:
            async with responses(client).stream(model="chat", input="q", **AGENT) as stream:
                response = await stream.get_final_response()
        else:
            response = await responses(client).create(model="chat", input="q", **AGENT)
        packed = response.output[0].encrypted_content
        again = [
            {"role": "user", "content": "q"},
            {"type": "reasoning", "summary": [], "encrypted_content": packed},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "r"},
        ]
        await responses(client).create(model="chat", input=again)

        messages: Any = engine.seen[1].json["messages"]
        assert messages[1]["content"][0] == {
            "type": "thinking", "thinking": "Hm.", "signature": "sig",
        }  # fmt: skip


@pytest.mark.parametrize("packed", ["anvil1.", "anvil1.!", "anvil1.bm9wZQ==", "somebody else's"])
async def test_a_pack_that_is_not_ours_is_no_thought(tmp_path: Path, packed: str) -> None:
    async with stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, engine):
        async with for_openai(running) as client:
            items = [{"role": "user", "content": "q"},
                     {"type": "reasoning", "summary": [], "encrypted_content": packed}]  # fmt: skip
            await responses(client).create(model="chat", input=items)

        assert engine.seen[0].json["messages"] == [{"role": "user", "content": "q"}]


async def test_an_answer_that_is_too_long_is_incomplete(tmp_path: Path) -> None:
    script = doubles.streams(doubles.openai_events({"content": "Once"}, finish="length"))
    async with (
        stack(tmp_path, "openai", script) as (running, _engine),
        for_openai(running) as client,
    ):
        whole = await responses(client).create(model="chat", input="story", max_output_tokens=1)
        async with responses(client).stream(model="chat", input="story") as stream:
            last = [event async for event in stream][-1]

        assert whole.status == "incomplete"
        assert whole.incomplete_details is not None
        assert whole.incomplete_details.reason == "max_output_tokens"
        assert last.type == "response.incomplete"
        assert last.response.output[0].status == "incomplete"


async def until_it_breaks(answer: httpx.Response) -> AsyncIterator[str]:
    with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - the loop is what raises
        async for line in answer.aiter_lines():
            yield line


async def test_an_answer_that_breaks_off_fails_and_never_completes(tmp_path: Path) -> None:
    async def breaks(_seen: doubles.Seen, answer: doubles.Answer) -> None:
        await answer.start()
        for event in OPENAI_TEXT[:2]:
            await answer.chunk(event)
        answer.cut()

    body = {"model": "chat", "input": "hello", "stream": True}
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with (
        stack(tmp_path, "openai", breaks) as (running, _engine),
        httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        client.stream("POST", "/v1/responses", json=body) as answer,
    ):
        lines = [line async for line in until_it_breaks(answer)]

        kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        assert kinds[-1] == "response.failed"
        assert "response.completed" not in kinds
        failed = json.loads([line for line in lines if line.startswith("data: ")][-1][6:])
        assert failed["response"]["status"] == "failed"
        assert failed["response"]["error"]["code"] == "server_error"


async def test_an_unstreaming_engine_is_told_as_a_stream(tmp_path: Path) -> None:
    for dialect, whole in (("openai", OPENAI_WHOLE), ("anthropic", ANTHROPIC_WHOLE)):
        async with (
            stack(tmp_path, dialect, doubles.answers(whole)) as (running, _engine),
            for_openai(running) as client,
            responses(client).stream(model="chat", input="hello") as stream,
        ):
            assert (await stream.get_final_response()).output_text == "Hello"


async def test_a_format_is_asked_of_the_engine(tmp_path: Path) -> None:
    shape = {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}
    async with stack(tmp_path, "openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE)) as (running, engine):
        async with for_openai(running) as client:
            await responses(client).create(model="chat", input="x", text={"format": shape})

        assert engine.seen[0].json["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True},
        }


BAD: list[tuple[dict[str, object], str, str]] = [
    ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
    ({"input": "x", "conversation": "c"}, "conversation", "unsupported_parameter"),
    ({"input": "x", "store": True}, "store", "unsupported_parameter"),
    ({"input": "x", "background": True}, "background", "unsupported_parameter"),
    ({"input": "x", "tools": [{"type": "file_search"}]}, "tools.0", "unsupported_parameter"),
    ({"input": "x", "tools": [{"type": "function"}]}, "tools.0.name", "invalid_request_error"),
    ({"input": "x", "tool_choice": {"type": "web_search"}}, "tool_choice", "unsupported_parameter"),
    ({"input": "x", "tool_choice": [None]}, "tool_choice", "invalid_request_error"),
    ({"input": "x", "text": {"format": [None]}}, "text.format", "invalid_request_error"),
    ({"input": "x", "tool_choice": "sometimes"}, "tool_choice", "invalid_request_error"),
    ({"input": [{"type": "item_reference", "id": "m"}]}, "input.0", "unsupported_parameter"),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input.0.content.0",
     "unsupported_parameter"),
    ({"input": [{"role": "robot", "content": "x"}]}, "input.0.role", "invalid_request_error"),
    ({"input": ["x"]}, "input.0", "invalid_request_error"),
    ({"input": [{"role": "user", "content": 5}]}, "input.0.content", "invalid_request_error"),
    ({"input": [{"role": "system", "content": [None]}]}, "input.0.content.0", "unsupported_parameter"),
    ({"input": [{"type": "function_call_output", "call_id": "c", "output": {}}]}, "input.0.output",
     "invalid_request_error"),
    ({"input": [{"type": {}}]}, "input.0", "unsupported_parameter"),
    ({"input": "x", "tools": [{"type": []}]}, "tools.0", "unsupported_parameter"),
    ({"input": "x", "tools": [None]}, "tools.0", "invalid_request_error"),
    ({}, "input", "invalid_request_error"),
    ({"input": []}, "input", "invalid_request_error"),
    ({"input": "x", "stream": "false"}, "stream", "invalid_request_error"),
    ({"input": "x", "max_output_tokens": 0}, "max_output_tokens", "invalid_request_error"),
    ({"input": "x", "text": {"format": {"type": "xml"}}}, "text.format", "invalid_request_error"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "names", "kind"), BAD)
async def test_what_cannot_be_served_is_named(
    tmp_path: Path, body: dict[str, object], names: str, kind: str
) -> None:
    async with (
        stack(tmp_path, "openai", by_stream(ANTHROPIC_TEXT, OPENAI_WHOLE)) as (running, engine),
        for_openai(running) as client,
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.post("/responses", body={"model": "chat", **body}, cast_to=object)

        error: Any = refused.value.body
        assert error["type"] == kind
        assert error["message"].startswith(names)
        assert not engine.seen
