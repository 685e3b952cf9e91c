"""Each agent finishes a task that needs tools, through the router, with engines of each dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.clients import agents
from tests.clients.agents import CLAUDE_CODE, CODEX
from tests.clients.table import DIALECTS, at, results
from tests.double.engine import Call, Play, Turn, scripted

PLAN = "Read notes.txt. Then write the number of its lines into count.txt, its last line into last.txt."


def claude_turns(project: Path) -> tuple[Turn, ...]:
    """Read, then two calls at once, then the answer."""
    both = (
        Call("Bash", {"command": "wc -l < notes.txt > count.txt", "description": "Count lines"}),
        Call("Write", {"file_path": str(project / "last.txt"), "content": "three\n"}),
    )
    return (
        Turn(
            "I read the notes.",
            (Call("Read", {"file_path": str(project / "notes.txt")}),),
            thinking="First I need to see the file.",
        ),
        Turn("", both, thinking="Three lines, the last is three."),
        Turn("There are 3 lines, and the last is three."),
    )


@DIALECTS
async def test_claude_code_reads_runs_and_writes(tmp_path: Path, dialect: str) -> None:
    turns = claude_turns(tmp_path / "project")
    async with at(CLAUDE_CODE, tmp_path, dialect, scripted(*turns)) as table:
        said = await agents.ask(CLAUDE_CODE, table.place, PLAN)

    assert said == "There are 3 lines, and the last is three."
    assert table.place.read("count.txt").strip() == "3"
    assert table.place.read("last.txt") == "three\n"
    bodies = [each.json for each in table.seen.seen]
    assert [len(results(body)) for body in bodies] == [0, 1, 3]
    assert all(word in results(bodies[1])[0] for word in ("one", "two", "three"))
    assert {each.path.partition("?")[0] for each in table.seen.seen} == {
        "/v1/chat/completions" if dialect == "openai" else "/v1/messages"
    }


def codex_plays(*turns: Turn) -> Play:
    """Codex tells the number of a running program only in its answer; the rest is as written."""
    play = scripted(*turns)

    def answer(body: Mapping[str, object]) -> Turn:
        turn = play(body)
        session = re.search(r"session ID (\d+)", " ".join(results(body)))
        calls = tuple(
            Call(call.name, {**call.arguments, "session_id": int(session[1])})
            if session and call.name == "write_stdin"
            else call
            for call in turn.calls
        )
        return Turn(turn.text, calls, turn.thinking)

    return answer


@DIALECTS
async def test_codex_starts_a_program_and_writes_to_it(tmp_path: Path, dialect: str) -> None:
    program = 'read -r word; wc -l < notes.txt > count.txt; echo "$word" > last.txt; echo saved'
    started = {"cmd": program, "yield_time_ms": 250, "tty": True}
    turns = (
        Turn("I start it.", (Call("exec_command", started),), thinking="It asks for a word."),
        Turn("", (Call("write_stdin", {"chars": "three\n", "yield_time_ms": 2000}),)),
        Turn("There are 3 lines, and the last is three."),
    )
    async with at(CODEX, tmp_path, dialect, codex_plays(*turns)) as table:
        said = await agents.ask(CODEX, table.place, PLAN)

    assert said == "There are 3 lines, and the last is three."
    assert table.place.read("count.txt").strip() == "3"
    assert table.place.read("last.txt") == "three\n"
    bodies = [each.json for each in table.seen.seen]
    assert [len(results(body)) for body in bodies] == [0, 1, 2]
    assert "saved" in results(bodies[2])[1]


@DIALECTS
async def test_codex_under_a_model_name_that_it_knows_patches_files(
    tmp_path: Path, dialect: str
) -> None:
    patch = "*** Begin Patch\n*** Add File: last.txt\n+three\n*** End Patch\n"
    turns = (
        Turn("", (Call("exec_command", {"cmd": "wc -l < notes.txt > count.txt; cat notes.txt"}),)),
        Turn("", (Call("apply_patch", {"input": patch}),)),
        Turn("Patched."),
    )
    async with at(CODEX, tmp_path, dialect, scripted(*turns)) as table:
        said = await agents.ask(CODEX, table.place, PLAN, "--model", "gpt-5.5")

    assert said == "Patched."
    assert table.place.read("count.txt").strip() == "3"
    assert table.place.read("last.txt") == "three\n"
