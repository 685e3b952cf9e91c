"""Turns of an agent share their beginning, so an engine's prefix cache finds all of it."""

from __future__ import annotations

from pathlib import Path

from tests.clients import agents
from tests.clients.agents import CLAUDE_CODE, CODEX, Agent
from tests.clients.table import AGENTS, DIALECTS, Table, at
from tests.double import prefix
from tests.double.engine import Call, Turn, scripted

LIST = {
    CLAUDE_CODE.name: Call("Bash", {"command": "ls", "description": "List files"}),
    CODEX.name: Call("exec_command", {"cmd": "ls"}),
}


def show(name: str, dialect: str, table: Table) -> None:
    for turn, (_said, each) in enumerate(table.engine.told, 1):
        share = (each.cached or 0) / each.given
        print(
            f"{name}, {dialect} engine, turn {turn}: {each.cached} of {each.given} tokens of the "
            f"prompt were cached ({share:.1%})"
        )


@DIALECTS
@AGENTS
async def test_the_second_turn_finds_all_of_the_first_ones_prompt(
    tmp_path: Path, agent: Agent, dialect: str
) -> None:
    turns = (Turn("I look.", (LIST[agent.name],)), Turn("One file."), Turn("Still one."))
    async with at(agent, tmp_path, dialect, scripted(*turns)) as table:
        await agents.ask(agent, table.place, "What files are here?")

    show(agent.name, dialect, table)
    first, second = (label for _turn, label in table.engine.told)
    assert second.cached == first.given
    assert first.given > 1000


@DIALECTS
@AGENTS
async def test_a_later_conversation_finds_the_system_text_and_all_tools(
    tmp_path: Path, agent: Agent, dialect: str
) -> None:
    async with at(agent, tmp_path, dialect, lambda _body: Turn("One file.")) as table:
        await agents.ask(agent, table.place, "What files are here?")
        # Claude Code tells the model of this, and of the day, in a system message of its own.
        table.place.commit()
        await agents.ask(agent, table.place, "Fix the tests, please.")

    show(f"{agent.name}, two conversations", dialect, table)
    body = table.seen.seen[0].json
    messages = body["messages"]
    assert isinstance(messages, list)
    system = [each for each in messages[:1] if each["role"] == "system"]
    shared = prefix.tokens({**body, "messages": system})
    # The layout closes with a role, as every prompt does: three tokens that the next one differs in.
    _turn, second = table.engine.told[1]
    assert second.cached is not None
    assert second.cached > len(shared) - 4
