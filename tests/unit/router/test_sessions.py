"""Recorded sessions of Claude Code and Codex: each gets what it got, each engine sees what it saw.

UPDATE_GOLDEN=1 writes anew what the router makes of the recorded requests; new requests of newer
agents are recorded by tests/clients/record.py.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from anvil_ctl.paths import PACKAGE
from tests.double import prefix
from tests.unit.router import sessions
from tests.unit.router.sessions import Session

EACH = pytest.mark.parametrize("name", sessions.names())


@EACH
async def test_the_engine_sees_and_the_agent_gets_what_was_recorded(
    tmp_path: Path, name: str
) -> None:
    session = sessions.load(name)

    played = await sessions.replay(session, tmp_path)
    if os.environ.get("UPDATE_GOLDEN"):
        sessions.save(name, Session(session.agent, session.dialect, played))

    assert len(played) == 3
    for now, then in zip(played, session.exchanges, strict=True):
        assert now.seen == then.seen
        assert now.got == then.got


@EACH
def test_a_turn_begins_with_all_of_the_turn_before(name: str) -> None:
    prompts = [prefix.tokens(each.seen.body) for each in sessions.load(name).exchanges]

    cache = prefix.PrefixCache()
    assert [cache.take(each) for each in prompts] == [0, len(prompts[0]), len(prompts[1])]


@EACH
def test_no_engine_is_told_what_it_does_not_know(name: str) -> None:
    """Billing, system messages behind the first, and tools that run elsewhere."""
    for exchange in sessions.load(name).exchanges:
        body = exchange.seen.body
        messages, tools = body["messages"], body["tools"]
        assert isinstance(messages, list)
        assert isinstance(tools, list)
        assert "x-anthropic-billing-header" not in json.dumps(body)
        assert "system" not in {each["role"] for each in messages[1:]}
        assert {each.get("type", "custom") for each in tools} <= {"function", "custom"}


def test_claude_code_was_recorded_with_the_line_that_differs_by_conversation() -> None:
    line = re.compile(r"x-anthropic-billing-header: cc_version=[\d.]+\.[0-9a-f]{3}; .*;")
    for name in ("claude-code-openai", "claude-code-anthropic"):
        for exchange in sessions.load(name).exchanges:
            system = exchange.asked.body["system"]
            assert isinstance(system, list)
            assert line.fullmatch(system[0]["text"])


def tools(session: Session) -> set[str]:
    """The kinds of tool that an agent offers."""
    offered = session.exchanges[0].asked.body["tools"]
    assert isinstance(offered, list)
    return {each["type"] for each in offered}


def test_codex_was_recorded_with_every_kind_of_tool_that_it_has() -> None:
    assert tools(sessions.load("codex-openai")) == {"function", "namespace", "web_search"}
    assert tools(sessions.load("codex-patch-openai")) == {
        "function",
        "custom",
        "tool_search",
        "web_search",
    }


@EACH
def test_it_was_recorded_with_the_version_that_make_test_installs(name: str) -> None:
    """After another version was locked: .venv/bin/python -m tests.clients.record"""
    lock = (PACKAGE.parent / "requirements" / "clients.txt").read_text(encoding="utf-8")
    package, version = sessions.load(name).agent.split()

    assert f"{package}=={version} " in lock
