"""A real engine and the agents: they chat with it, and find their last turn in its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.clients import agents
from tests.clients.agents import CLAUDE_CODE, CODEX, Agent, Place
from tests.e2e.stack import Stack
from tests.unit.router import doubles

SYSTEM = "You are a helpful assistant."
RULES = " ".join(f"Rule {number}: be brief, kind and exact." for number in range(60))
FRANCE, ITALY = "What is the capital of France?", "And of Italy?"

# Without their own instructions and tools, which would take a model of this size a minute to read.
SMALL = {
    CLAUDE_CODE.name: ("--tools", "", "--system-prompt", SYSTEM),
    CODEX.name: (
        "--config=web_search=disabled",
        "--config=model_instructions_file=instructions.md",
        *(
            f"--config=features.{each}=false"
            for each in ("multi_agent", "goals", "shell_tool", "unified_exec", "view_image")
        ),
    ),
}


def show(name: str, cached: int, given: int) -> None:
    print(f"{name}, llama.cpp, turn 2: {cached} tokens cached; turn 1 had {given}")


def test_chat_completions_find_the_first_turn_in_the_engines_cache(
    agentic: Stack, openai_client: openai.OpenAI
) -> None:
    system = {"role": "system", "content": f"Chat. {RULES}"}
    turns: list[Any] = [system, {"role": "user", "content": FRANCE}]
    ask = openai_client.chat.completions
    first = ask.create(model="chat", max_tokens=8, temperature=0, messages=turns)
    turns += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": ITALY},
    ]
    second = ask.create(model="chat", max_tokens=8, temperature=0, messages=turns)

    assert first.usage
    assert second.usage
    assert second.usage.prompt_tokens_details
    cached = second.usage.prompt_tokens_details.cached_tokens or 0
    show("chat completions", cached, first.usage.prompt_tokens)
    assert cached >= first.usage.prompt_tokens - 1


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX], ids=lambda each: each.name)
async def test_an_agent_chats_and_goes_on_where_it_was(
    agentic: Stack, tmp_path: Path, agent: Agent
) -> None:
    # The stack's engine behind a router that makes so small a model stop after a sentence.
    tier = doubles.tier(
        "starter",
        f"http://127.0.0.1:{agentic.engine_port}",
        context_limit=8192,
        model="smollm2-135m",
        timeout=120,
    )
    short = 'extra_body = { temperature = 0, stop = ["."] }\n'
    text = doubles.config(tier + short, presets='chat = ["starter"]')
    place = Place(tmp_path / "home", tmp_path / "project")
    place.project.mkdir()
    async with doubles.router(tmp_path / "router.toml", text) as router:
        agents.connect(agent, place, router.url, window=8192)
        place.write("instructions.md", SYSTEM)
        small = SMALL[agent.name]
        first = await agents.ask(agent, place, FRANCE, *small)
        again = ("--continue",) if agent is CLAUDE_CODE else ("resume", "--last")
        second = await agents.ask(agent, place, ITALY, *small, *again)

    show(agent.name, second.cached, first.given)
    assert first.text == "The capital of France is Paris"
    assert second.text
    assert second.cached >= first.given - 1
