"""Requests in the other dialect's words."""

from __future__ import annotations

import json

import pytest

from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects import to_anthropic, to_openai
from anvil_ctl.router.dialects.call import JSON, BadRequestError, Dialect
from anvil_ctl.router.dialects.upstream_body import Target, build

TOOL_TURNS: list[JSON] = [
    {"role": "user", "content": "weather?"},
    {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Looking."},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "t2", "name": "weather", "input": {}}]},
    {"role": "user", "content": [
        {"type": "text", "text": "and?"},
        {"type": "tool_result", "tool_use_id": "t1", "content": [
            {"type": "text", "text": "rain"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]},
        {"type": "tool_result", "tool_use_id": "t2", "content": "no such city", "is_error": True},
        {"type": "tool_result", "tool_use_id": "lost", "content": "orphan"}]},
]  # fmt: skip


def test_tool_history_becomes_calls_and_tool_messages_before_the_users_words() -> None:
    body = to_openai.translate({"messages": TOOL_TURNS}, local=True)

    assert body["messages"] == [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {"id": "t1", "type": "function",
                 "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                {"id": "t2", "type": "function",
                 "function": {"name": "weather", "arguments": "{}"}},
            ],
            "reasoning_content": "hm",
            "reasoning": "hm",
        },
        {"role": "tool", "tool_call_id": "t1", "content": "rain\n[image below]"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: no such city"},
        {"role": "user", "content": [
            {"type": "text", "text": "and?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            {"type": "text", "text": "Tool result: orphan"}]},
    ]  # fmt: skip


def test_an_anthropic_request_keeps_its_settings_in_openais_words() -> None:
    raw: JSON = {
        "messages": [{"role": "user", "content": "x"}],
        "system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 4,
        "stop_sequences": ["END"],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "a": 1}},
            {"type": "web_search_20250305", "name": "web_search"}, "junk", {"description": "?"}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 4096},
    }  # fmt: skip
    body = to_openai.translate(raw, local=True)

    assert body == {
        "messages": [{"role": "system", "content": "a\n\nb"}, {"role": "user", "content": "x"}],
        "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop": ["END"],
        "tools": [{"type": "function", "function": {
            "name": "f", "description": "d", "parameters": {"type": "object", "a": 1}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "medium",
        "chat_template_kwargs": {"enable_thinking": True},
    }  # fmt: skip


def test_a_cloud_engine_gets_none_of_what_only_local_ones_know() -> None:
    raw: JSON = {"messages": TOOL_TURNS, "top_k": 4, "thinking": {"type": "enabled"}}
    body = to_openai.translate(raw, local=False)

    assert set(body) == {"messages"}
    assert "hm" not in json.dumps(body)


@pytest.mark.parametrize(("asked", "told"), [("low", "low"), ("high", "high"), ("max", "high")])
def test_an_effort_is_told_in_a_word_that_engines_know(asked: str, told: str) -> None:
    raw: JSON = {
        "messages": [{"role": "user", "content": "x"}],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": asked},
    }
    body = to_openai.translate(raw, local=True)

    assert body["reasoning_effort"] == told
    assert body["chat_template_kwargs"] == {"enable_thinking": True}


def test_an_openai_history_becomes_alternating_turns() -> None:
    raw: JSON = {
        "messages": [
            {"role": "system", "content": "a"},
            {"role": "developer", "content": "b"},
            {"role": "user", "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "oops"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "user", "content": "go on"},
        ],
        "stop": "END", "temperature": 1.7, "max_completion_tokens": 20,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "required", "parallel_tool_calls": False,
        "presence_penalty": 1,
    }  # fmt: skip
    body = to_anthropic.translate(raw, max_tokens=4096)

    assert body == {
        "system": "a\n\nb",
        "max_tokens": 20,
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "see"},
                {"type": "image",
                 "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "c2", "name": "f", "input": {"_raw": "oops"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1",
                 "content": [{"type": "text", "text": "one"}]},
                {"type": "tool_result", "tool_use_id": "c2",
                 "content": [{"type": "text", "text": "two"}]},
                {"type": "text", "text": "go on"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("effort", "most", "budget"), [("low", 9000, 1024), ("high", 9000, 8999), ("high", 500, None)]
)
def test_an_effort_becomes_a_budget_that_fits(effort: str, most: int, budget: int | None) -> None:
    raw: JSON = {
        "messages": [{"role": "user", "content": "x"}],
        "reasoning_effort": effort,
        "max_tokens": most,
    }
    thinking = to_anthropic.translate(raw, max_tokens=4096).get("thinking")

    expected = None if budget is None else {"type": "enabled", "budget_tokens": budget}
    assert thinking == expected


def call(dialect: Dialect = Dialect.OPENAI, **keys: object) -> calls.Call:
    body = {"model": "chat", "messages": [{"role": "user", "content": "x"}], **keys}
    return calls.parse(dialect, json.dumps(body).encode())


def target(**keys: object) -> Target:
    made = Target(Dialect.OPENAI, "m", local=True)
    for key, value in keys.items():
        made = Target(**{**{f: getattr(made, f) for f in made.__struct_fields__}, key: value})
    return made


def test_soft_defaults_yield_to_the_caller_and_hard_ones_to_nobody() -> None:
    extra = target(
        extra_body_defaults={
            "temperature": 0.1,
            "top_k": 7,
            "chat_template_kwargs": {"a": 1, "b": 1},
        },
        extra_body={"top_k": 8, "chat_template_kwargs": {"c": 2}},
    )
    body = json.loads(
        build(call(temperature=0.9, chat_template_kwargs={"a": 0}), extra, stream=False)
    )

    assert body["temperature"] == 0.9
    assert body["top_k"] == 8
    assert body["chat_template_kwargs"] == {"a": 0, "b": 1, "c": 2}


def test_a_cloud_tier_gets_known_fields_and_nothing_personal() -> None:
    asked = call(user="u", metadata={"a": 1}, store=True, made_up=1, seed=3)
    body = json.loads(build(asked, target(local=False), stream=False))

    assert set(body) == {"model", "messages", "stream", "seed"}


def test_a_stream_asks_for_usage_unless_the_tier_pins_otherwise() -> None:
    asked = call(stream=True)

    assert json.loads(build(asked, target(), stream=True))["stream_options"] == {
        "include_usage": True
    }
    pinned = target(extra_body={"stream": False})
    assert json.loads(build(asked, pinned, stream=True))["stream"] is False


def test_the_callers_name_is_forwarded_where_the_tier_has_none() -> None:
    assert json.loads(build(call(), target(model=None), stream=False))["model"] == "chat"


def test_several_choices_cannot_be_translated() -> None:
    with pytest.raises(BadRequestError, match="n:"):
        build(call(n=2), target(dialect=Dialect.ANTHROPIC), stream=False)
