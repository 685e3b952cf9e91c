"""What the agents are asked to do, and what a model would say to that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.table import results
from tests.double.engine import Call, Play, Turn, scripted

PROMPT = "Read notes.txt. Write the number of its lines to count.txt, its last line to last.txt."
DONE = "There are 3 lines, and the last is three."


@dataclass(frozen=True, slots=True)
class Task:
    """How many results of tools the engine sees in each request; the last answer is DONE."""

    play: Play
    results: list[int]
    arguments: tuple[str, ...] = ()
    prompt: str = PROMPT


def claude_reads_runs_and_writes(project: Path) -> Task:
    """One call, then two at once."""
    read = Call("Read", {"file_path": str(project / "notes.txt")})
    both = (
        Call("Bash", {"command": "wc -l < notes.txt > count.txt", "description": "Count lines"}),
        Call("Write", {"file_path": str(project / "last.txt"), "content": "three\n"}),
    )
    turns = (
        Turn("I read the notes.", (read,), thinking="First I need to see the file."),
        Turn("", both, thinking="Three lines, the last is three."),
        Turn(DONE),
    )
    return Task(scripted(*turns), [0, 1, 3])


def codex_starts_a_program_and_writes_to_it(_project: Path) -> Task:
    """Codex tells the number of a running program only in its answer."""
    program = 'read -r word; wc -l < notes.txt > count.txt; echo "$word" > last.txt; echo saved'
    started = {"cmd": program, "yield_time_ms": 250, "tty": True}
    play = scripted(
        Turn("I start it.", (Call("exec_command", started),), thinking="It asks for a word."),
        Turn("", (Call("write_stdin", {"chars": "three\n", "yield_time_ms": 2000}),)),
        Turn(DONE),
    )

    def with_number(body: Mapping[str, object]) -> Turn:
        turn = play(body)
        number = re.search(r"session ID (\d+)", " ".join(results(body)))
        calls = tuple(
            Call(call.name, {**call.arguments, "session_id": int(number[1])})
            if number and call.name == "write_stdin"
            else call
            for call in turn.calls
        )
        return Turn(turn.text, calls, turn.thinking)

    return Task(with_number, [0, 1, 2])


def codex_patches(_project: Path) -> Task:
    """Under a model name that it knows, Codex has a tool that takes text instead of JSON."""
    patch = "*** Begin Patch\n*** Add File: last.txt\n+three\n*** End Patch\n"
    turns = (
        Turn("", (Call("exec_command", {"cmd": "wc -l < notes.txt > count.txt; cat notes.txt"}),)),
        Turn("", (Call("apply_patch", {"input": patch}),)),
        Turn(DONE),
    )
    return Task(scripted(*turns), [0, 1, 2], ("--model", "gpt-5.5"))
