"""An agent, a router and an engine double, laid out for one test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import agents
from tests.clients.agents import CLAUDE_CODE, CODEX, Agent, Place
from tests.double.engine import Engine, Play
from tests.double.server import Double, double
from tests.unit.router import doubles

DIALECTS = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
AGENTS = pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX], ids=lambda each: each.name)
NOTES = "one\ntwo\nthree\n"


@dataclass(frozen=True, slots=True)
class Table:
    """An agent's place, its router's address, and the engine behind that."""

    place: Place
    url: str
    engine: Engine
    seen: Double


@asynccontextmanager
async def at(agent: Agent, folder: Path, dialect: str, play: Play) -> AsyncIterator[Table]:
    engine = Engine("one-model", play)
    async with double(engine) as seen:
        tier = doubles.tier("one", seen.url, dialect, context_limit=200_000)
        text = doubles.config(tier, presets='chat = ["one"]')
        async with doubles.router(folder / "router.toml", text) as router:
            place = Place(folder / "home", folder / "project")
            place.project.mkdir()
            place.write("notes.txt", NOTES)
            agents.connect(agent, place, router.url)
            yield Table(place, router.url, engine, seen)


def transcript(table: Table) -> str:
    """What the model said and called, and what the tools answered, as the engine saw it."""
    lines = []
    told = 0
    for seen, (turn, label) in zip(table.seen.seen, table.engine.told, strict=True):
        answers = results(seen.json)
        lines += [f"  tool   {' '.join(each.split())[:100]}" for each in answers[told:]]
        told = len(answers)
        lines.append(f"turn {label.id}: {label.given} tokens, {label.cached} of them cached")
        lines += [f"  model  {text}" for text in (turn.thinking, turn.text) if text]
        lines += [f"  calls  {call.name} {json.dumps(call.arguments)}" for call in turn.calls]
    return "\n".join(lines)


def results(body: Mapping[str, object]) -> list[str]:
    """What tools said, by what the engine was told, in either dialect."""
    messages = body["messages"]
    assert isinstance(messages, list)
    found = []
    for message in messages:
        if message["role"] == "tool":
            found.append(str(message["content"]))
        elif isinstance(message["content"], list):
            blocks = [each for each in message["content"] if each["type"] == "tool_result"]
            found += [json.dumps(each["content"]) for each in blocks]
    return found
