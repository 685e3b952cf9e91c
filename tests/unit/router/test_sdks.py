"""The official SDKs against a router that listens: two turns with tools, errors, and retries."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from anvil_ctl.serving.message import Limits
from tests.double.engine import Call, Engine, Turn, scripted
from tests.double.events import answers
from tests.double.server import Answer, Double, Script, Seen, double
from tests.unit.router import doubles, sdk
from tests.unit.router.doubles import Running
from tests.unit.router.sdk import Options, Way

DIALECTS = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
WAYS = pytest.mark.parametrize("way", sdk.WAYS, ids=str)
BOTH = pytest.mark.parametrize("way", [sdk.WAYS[0], sdk.WAYS[-1]], ids=str)
QUESTION = "How is the weather in Oslo and in Rome?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CITIES = ({"city": "Oslo"}, {"city": "Rome"})
TURNS = scripted(
    Turn("I look twice.", tuple(Call("weather", city) for city in CITIES)),
    Turn("Snow in Oslo, sun in Rome."),
)


@asynccontextmanager
async def stack(
    folder: Path, dialect: str, script: Script, *, keys: str = "", limits: Limits | None = None
) -> AsyncIterator[tuple[Running, Double]]:
    async with double(script) as engine:
        tier = doubles.tier("one", engine.url, dialect)
        text = doubles.config(tier, presets='chat = ["one"]', router_keys=keys)
        async with doubles.router(folder / "router.toml", text, limits=limits) as running:
            yield running, engine


# Conversations


@DIALECTS
@WAYS
async def test_openai_chat_calls_two_tools_at_once_and_is_told_what_they_said(
    tmp_path: Path, dialect: str, way: Way
) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    asked: Options = {"model": "chat", "tools": [tool]}
    user = {"role": "user", "content": QUESTION}
    async with stack(tmp_path, dialect, Engine("one-model", TURNS)) as (running, engine):
        options = sdk.openai_options(running)
        first = (await sdk.chat(options, way, messages=[user], **asked)).choices[0]
        calls = [each for each in first.message.tool_calls or [] if each.type == "function"]
        told = [
            {"role": "tool", "tool_call_id": call.id, "content": weather}
            for call, weather in zip(calls, ("snow", "sun"), strict=True)
        ]
        history = [user, first.message.model_dump(exclude_unset=True), *told]
        last = await sdk.chat(options, way, messages=history, **asked)

    assert [json.loads(call.function.arguments) for call in calls] == list(CITIES)
    assert (first.message.content, first.finish_reason) == ("I look twice.", "tool_calls")
    assert last.choices[0].message.content == "Snow in Oslo, sun in Rome."
    assert last.choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert last.usage.prompt_tokens_details is not None
    assert last.usage.prompt_tokens_details.cached_tokens
    assert results(engine.seen[1]) == ["snow", "sun"]


@DIALECTS
@WAYS
async def test_openai_responses_call_two_tools_at_once_and_are_told_what_they_said(
    tmp_path: Path, dialect: str, way: Way
) -> None:
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
    asked: Options = {"model": "chat", "tools": [tool], "store": False}
    user = {"role": "user", "content": QUESTION}
    async with stack(tmp_path, dialect, Engine("one-model", TURNS)) as (running, engine):
        options = sdk.openai_options(running)
        first = await sdk.respond(options, way, input=[user], **asked)
        calls = [item for item in first.output if item.type == "function_call"]
        told = [
            {"type": "function_call_output", "call_id": call.call_id, "output": weather}
            for call, weather in zip(calls, ("snow", "sun"), strict=True)
        ]
        items = [item.model_dump(exclude_unset=True) for item in first.output]
        last = await sdk.respond(options, way, input=[user, *items, *told], **asked)

    assert [json.loads(call.arguments) for call in calls] == list(CITIES)
    assert (first.output_text, first.status) == ("I look twice.", "completed")
    assert last.output_text == "Snow in Oslo, sun in Rome."
    assert last.usage is not None
    assert last.usage.input_tokens_details.cached_tokens
    assert results(engine.seen[1]) == ["snow", "sun"]


@DIALECTS
@WAYS
async def test_anthropic_messages_call_two_tools_at_once_and_are_told_what_they_said(
    tmp_path: Path, dialect: str, way: Way
) -> None:
    tool = {"name": "weather", "input_schema": SCHEMA}
    asked: Options = {"model": "chat", "max_tokens": 99, "tools": [tool]}
    user = {"role": "user", "content": QUESTION}
    async with stack(tmp_path, dialect, Engine("one-model", TURNS)) as (running, engine):
        options = sdk.anthropic_options(running)
        first = await sdk.message(options, way, messages=[user], **asked)
        calls = [block for block in first.content if block.type == "tool_use"]
        told = [
            {"type": "tool_result", "tool_use_id": call.id, "content": weather}
            for call, weather in zip(calls, ("snow", "sun"), strict=True)
        ]
        said = {
            "role": "assistant",
            "content": [block.model_dump(exclude_unset=True) for block in first.content],
        }
        history = [user, said, {"role": "user", "content": told}]
        last = await sdk.message(options, way, messages=history, **asked)

    assert [call.input for call in calls] == list(CITIES)
    assert [block.text for block in first.content if block.type == "text"] == ["I look twice."]
    assert first.stop_reason == "tool_use"
    assert [block.text for block in last.content if block.type == "text"] == [
        "Snow in Oslo, sun in Rome."
    ]
    assert last.stop_reason == "end_turn"
    assert last.usage.cache_read_input_tokens
    assert results(engine.seen[1]) == ["snow", "sun"]


def results(seen: Seen) -> list[object]:
    """What tools said, by what the engine was told."""
    messages = seen.json["messages"]
    assert isinstance(messages, list)
    if seen.path == "/v1/chat/completions":
        return [each["content"] for each in messages if each["role"] == "tool"]
    blocks = [block for each in messages[1:] for block in each["content"]]
    told = [block["content"] for block in blocks if block["type"] == "tool_result"]
    return [each if isinstance(each, str) else each[0]["text"] for each in told]


# Errors


async def ask_openai(options: Options, way: Way, **more: Any) -> object:
    user = {"role": "user", "content": QUESTION}
    return await sdk.chat(options, way, **{"model": "chat", "messages": [user], **more})


async def ask_responses(options: Options, way: Way, **more: Any) -> object:
    return await sdk.respond(options, way, **{"model": "chat", "input": QUESTION, **more})


async def ask_anthropic(options: Options, way: Way, **more: Any) -> object:
    user = {"role": "user", "content": QUESTION}
    asked = {"model": "chat", "max_tokens": 99, "messages": [user], **more}
    return await sdk.message(options, way, **asked)


@dataclass(frozen=True, slots=True)
class Library:
    """One API of one SDK, and what it raises: `errors` by HTTP status."""

    name: str
    ask: Callable[..., Awaitable[object]]
    options: Callable[..., Options]
    errors: dict[int, type[Exception]]
    bad: Options
    broken: type[Exception]


_OPENAI: dict[int, type[Exception]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
    503: openai.InternalServerError,
}
_ANTHROPIC: dict[int, type[Exception]] = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    404: anthropic.NotFoundError,
    413: anthropic.ContentTooLargeError,
    429: anthropic.RateLimitError,
    503: anthropic.ServiceUnavailableError,
}
LIBRARIES = [
    Library("chat", ask_openai, sdk.openai_options, _OPENAI, {"max_tokens": 0}, openai.APIError),
    Library(
        "responses",
        ask_responses,
        sdk.openai_options,
        _OPENAI,
        {"max_output_tokens": 0},
        openai.APIError,
    ),
    Library(
        "messages",
        ask_anthropic,
        sdk.anthropic_options,
        _ANTHROPIC,
        {"max_tokens": 0},
        anthropic.APIStatusError,
    ),
]
EACH = pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.name)
HELLO = scripted(Turn("Hello there, how are you?"))


def status(error: Exception) -> object:
    return getattr(error, "status_code", None)


@EACH
@BOTH
@pytest.mark.parametrize("code", [400, 401, 413])
async def test_what_the_caller_did_wrong_is_the_exception_that_the_sdk_has_for_it(
    tmp_path: Path, library: Library, way: Way, code: int
) -> None:
    limits = Limits(max_body=2000)
    async with stack(tmp_path, "openai", Engine("one-model", HELLO), limits=limits) as (
        running,
        engine,
    ):
        options = library.options(running, token="wrong" if code == 401 else doubles.TOKEN)
        more = library.bad if code == 400 else {}
        if code == 413:
            more = {"extra_body": {"filler": "x" * 4000}}
        with pytest.raises(library.errors[code]) as raised:
            await library.ask(options, way, **more)

    assert status(raised.value) == code
    assert engine.seen == []


@EACH
async def test_a_path_that_is_not_there_is_not_found(tmp_path: Path, library: Library) -> None:
    async with stack(tmp_path, "openai", Engine("one-model", HELLO)) as (running, _engine):
        options = library.options(running)
        options["base_url"] += "/elsewhere"
        with pytest.raises(library.errors[404]) as raised:
            await library.ask(options, sdk.WAYS[0])

    assert status(raised.value) == 404


TOO_LONG = {"error": {"message": "This model's maximum context length is 8192 tokens."}}
REFUSALS = [
    pytest.param((answers({"error": {"message": "no"}}, 400), 400), id="invalid"),
    pytest.param((answers(TOO_LONG, 400), 413), id="too-long"),
    pytest.param(
        (answers({"error": {"message": "busy"}}, 429, "retry-after: 7\r\n"), 429), id="busy"
    ),
    pytest.param((answers({"error": {"message": "engine-3 exploded"}}, 500), 503), id="broken"),
]


@EACH
@BOTH
@DIALECTS
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_what_the_engine_refuses_is_the_exception_that_the_sdk_has_for_it(
    tmp_path: Path, library: Library, way: Way, dialect: str, refusal: tuple[Script, int]
) -> None:
    refuses, code = refusal
    keys = "exhaustion_status = 429\n" if code == 429 else ""
    async with stack(tmp_path, dialect, refuses, keys=keys) as (running, _engine):
        with pytest.raises(library.errors[code]) as raised:
            await library.ask(library.options(running), way)

    assert status(raised.value) == code
    assert "engine-3" not in str(raised.value)
    if code == 429:
        response = raised.value.response  # type: ignore[attr-defined]
        assert response.headers["retry-after"] == "7"


@EACH
@DIALECTS
@pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
async def test_an_answer_that_breaks_off_is_an_exception_and_never_a_short_answer(
    tmp_path: Path, library: Library, dialect: str, blocking: bool
) -> None:
    whole = Engine("one-model", HELLO)

    async def breaks_off(seen: Seen, answer: Answer) -> None:
        events = whole.events(seen)
        await answer.start()
        for event in events[: len(events) // 2]:
            await answer.chunk(event)
        answer.cut()

    async with stack(tmp_path, dialect, breaks_off) as (running, _engine):
        with pytest.raises(library.broken) as raised:
            await library.ask(library.options(running), Way(blocking, stream=True))

    # Of the answer that had begun, and not of one that was refused.
    assert status(raised.value) in (None, 200)


# Retries


@EACH
@BOTH
async def test_an_sdk_waits_as_long_as_it_is_told_and_then_is_served(
    tmp_path: Path, library: Library, way: Way
) -> None:
    serves = Engine("one-model", HELLO)
    busy = answers({"error": {"message": "busy"}}, 429, "retry-after: 1\r\n")
    times: list[float] = []

    async def busy_at_first(seen: Seen, answer: Answer) -> None:
        times.append(time.monotonic())
        await (busy if len(times) == 1 else serves)(seen, answer)

    async with stack(tmp_path, "openai", busy_at_first) as (running, _engine):
        await library.ask(library.options(running, retries=1), way)

    first, second = times
    assert 1 <= second - first < 5


@EACH
async def test_an_sdk_does_not_repeat_what_can_not_go_right(
    tmp_path: Path, library: Library
) -> None:
    refuses = answers({"error": {"message": "no"}}, 400)
    async with stack(tmp_path, "openai", refuses) as (running, engine):
        with pytest.raises(library.errors[400]):
            await library.ask(library.options(running, retries=2), sdk.WAYS[0])

    assert len(engine.seen) == 1
