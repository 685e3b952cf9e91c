"""Each agent finishes a task that needs tools, through the router, with engines of each dialect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients import agents, tasks
from tests.clients.agents import CLAUDE_CODE, CODEX, Agent
from tests.clients.table import DIALECTS, at, results, transcript
from tests.clients.tasks import Task


@DIALECTS
@pytest.mark.parametrize(
    ("agent", "make"),
    [
        pytest.param(CLAUDE_CODE, tasks.claude_reads_runs_and_writes, id="claude-code"),
        pytest.param(CODEX, tasks.codex_starts_a_program_and_writes_to_it, id="codex"),
        pytest.param(CODEX, tasks.codex_patches, id="codex-patch"),
    ],
)
async def test_the_files_are_there_and_the_engine_saw_what_the_tools_said(
    tmp_path: Path, agent: Agent, make: Callable[[Path], Task], dialect: str
) -> None:
    task = make(tmp_path / "project")
    async with at(agent, tmp_path, dialect, task.play) as table:
        said = await agents.ask(agent, table.place, task.prompt, *task.arguments)

    print(f"{agent.label}, engine that speaks {dialect}: {task.prompt}\n{transcript(table)}")
    assert said.text == tasks.DONE
    assert table.place.read("count.txt").strip() == "3"
    assert table.place.read("last.txt") == "three\n"
    bodies = [each.json for each in table.seen.seen]
    assert [len(results(body)) for body in bodies] == task.results
    assert {each.path for each in table.seen.seen} == {
        "/v1/chat/completions" if dialect == "openai" else "/v1/messages"
    }


@DIALECTS
async def test_claude_code_shows_the_model_what_it_read(tmp_path: Path, dialect: str) -> None:
    task = tasks.claude_reads_runs_and_writes(tmp_path / "project")
    async with at(CLAUDE_CODE, tmp_path, dialect, task.play) as table:
        await agents.ask(CLAUDE_CODE, table.place, task.prompt)

    [read] = results(table.seen.seen[1].json)
    assert all(word in read for word in ("one", "two", "three"))


@DIALECTS
async def test_codex_shows_the_model_what_a_program_said(tmp_path: Path, dialect: str) -> None:
    task = tasks.codex_starts_a_program_and_writes_to_it(tmp_path / "project")
    async with at(CODEX, tmp_path, dialect, task.play) as table:
        await agents.ask(CODEX, table.place, task.prompt)

    _started, written = results(table.seen.seen[2].json)
    assert "saved" in written
