"""A router before one engine, of either dialect, and the official clients that ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anthropic
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


@dataclass(frozen=True, slots=True)
class Kind:
    """An engine of a dialect: one that says hello, and one that calls a tool."""

    dialect: str
    greets: Script
    calls: Script


EITHER = pytest.mark.parametrize(
    "kind",
    [
        Kind("openai", by_stream(OPENAI_TEXT, OPENAI_WHOLE), by_stream(OPENAI_TOOLS, OPENAI_WHOLE)),
        Kind(
            "anthropic",
            by_stream(ANTHROPIC_TEXT, ANTHROPIC_WHOLE),
            by_stream(ANTHROPIC_TOOLS, ANTHROPIC_WHOLE),
        ),
    ],
    ids=lambda kind: f"{kind.dialect}-engine",
)


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
