"""kill -9 of the command after each line of its journal, and what `recover` makes of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from tests.e2e.load import Load
from tests.e2e.stack import Stack, containers
from tests.lab.command import run
from tests.lab.site import settled

VICTIM = (sys.executable, "-m", "tests.lab.victim")


@dataclass(frozen=True)
class Killed:
    """One kill point: the act that the journal had begun, and the outcome of what came after."""

    number: int
    line: str
    verb: str
    outcome: str
    seconds: float
    lost: int
    clean: bool

    def __str__(self) -> str:
        clean = "clean" if self.clean else "NOT CLEAN"
        return (
            f"{self.number:>2}  {self.line:<26}{self.verb:<15}{self.outcome:<26}"
            f"{self.seconds:>6.1f} s{self.lost:>5} lost  {clean}"
        )


def every_line(stack: Stack, verb: tuple[str, ...] = ("recover",)) -> list[Killed]:
    """Kill a switch after its first line, its second, and so on, until one gets to its end."""
    found: list[Killed] = []
    while True:
        number = len(found) + 1
        source = stack.json("status")["mode"]
        target = "flexibility" if source == "agentic" else "agentic"
        with Load(stack) as load:
            ran = run(stack, "switch", target, program=(*VICTIM, str(number)))
            if ran.code == 0:
                return found
            assert ran.code == -9, ran.words
            line = _last_line(stack)
            recovered = run(stack, *verb)
            answered = load.wait_for_answer(recovered.ended)
            assert answered is not None, f"nobody was answered after: {recovered.words}"
        live = stack.json("status")["mode"]
        shown = {source: "the old mode", target: "the new mode"}.get(live, str(live))
        outcome = f"{shown}, exit {recovered.code}"
        clean = recovered.code == 0 and settled(stack, live) and not load.errors()
        found.append(
            Killed(
                number,
                line,
                " ".join(verb),
                outcome,
                recovered.seconds,
                len(load.errors()),
                clean,
            )
        )


def starts_and_stops(stack: Stack, verb: tuple[str, ...]) -> list[Killed]:
    """The same for `up` from nothing and for `down`, where nobody is served on the one side."""
    undo = "--undo" in verb
    up = _each_line(
        stack, ("down",), ("up", "--mode", "agentic"), verb, None if undo else "agentic"
    )
    down = _each_line(
        stack, ("up", "--mode", "agentic"), ("down",), verb, "agentic" if undo else None
    )
    stack.run("up", "--mode", "agentic")
    return [*up, *down]


def _each_line(
    stack: Stack,
    before: tuple[str, ...],
    command: tuple[str, ...],
    verb: tuple[str, ...],
    right: str | None,
) -> list[Killed]:
    found: list[Killed] = []
    while True:
        number = len(found) + 1
        stack.run(*before)
        ran = run(stack, *command, program=(*VICTIM, str(number)))
        if ran.code == 0:
            return found
        assert ran.code == -9, ran.words
        line = f"{command[0]}: {_last_line(stack)}"[:25]
        ended = line.endswith("complete")
        recovered = run(stack, *verb)
        live = stack.json("status")["mode"]
        # What had ended before it was killed is not taken back.
        wanted = ("agentic" if command[0] == "up" else None) if ended else right
        clean = recovered.code == 0 and live == wanted and _whole(stack, live)
        outcome = f"{live or 'nothing'}, exit {recovered.code}"
        said = " ".join(verb)
        found.append(Killed(number, line, said, outcome, recovered.seconds, 0, clean))


def _whole(stack: Stack, live: str | None) -> bool:
    return settled(stack, live) if live else not containers(stack.project)


def _last_line(stack: Stack) -> str:
    journal = stack.home / "journal" / "switch.json"
    if not journal.exists():
        return "in history"
    said = json.loads(journal.read_text(encoding="utf-8"))
    if said["outcome"] != "running":
        return str(said["outcome"])
    acts = said["acts"]
    return f"{acts[-1]['op']} {acts[-1]['target']}"[:25] if acts else "begun"
