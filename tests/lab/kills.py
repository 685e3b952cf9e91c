"""kill -9 of the command after each line of its journal, and what `recover` makes of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
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


@dataclass(frozen=True)
class Scene:
    """A command to be killed, and what is live before and after it; `served`: clients ask."""

    command: tuple[str, ...]
    before: str | None
    after: str | None
    served: bool = False


def every_line(stack: Stack, verb: tuple[str, ...]) -> list[Killed]:
    """Kill a switch after its first line, its second, and so on, until one gets to its end."""

    def there_or_back() -> Scene:
        source = stack.json("status")["mode"]
        target = "flexibility" if source == "agentic" else "agentic"
        return Scene(("switch", target), source, target, served=True)

    return list(_each_line(stack, there_or_back, verb))


def starts_and_stops(stack: Stack, verb: tuple[str, ...]) -> list[Killed]:
    """The same for `up` from nothing and for `down`, where nobody is served on the one side."""
    up, down = ("up", "--mode", "agentic"), ("down",)

    def start() -> Scene:
        stack.run(*down)
        return Scene(up, None, "agentic")

    def stop() -> Scene:
        stack.run(*up)
        return Scene(down, "agentic", None)

    found = [*_each_line(stack, start, verb), *_each_line(stack, stop, verb)]
    stack.run(*up)
    return found


def _each_line(stack: Stack, scene: Callable[[], Scene], verb: tuple[str, ...]) -> Iterator[Killed]:
    for number in itertools.count(1):
        at = scene()
        with Load(stack) if at.served else contextlib.nullcontext() as load:
            ran = run(stack, *at.command, program=(*VICTIM, str(number)))
            if ran.code == 0:
                return
            assert ran.code == -9, ran.words
            line = _last_line(stack)
            recovered = run(stack, *verb)
            if load is not None:
                answered = load.wait_for_answer(recovered.ended)
                assert answered is not None, f"nobody was answered after: {recovered.words}"
        live, lost = stack.json("status")["mode"], len(load.errors()) if load else 0
        # What had ended before it was killed is not taken back.
        right = at.before if "--undo" in verb and line != "complete" else at.after
        whole = settled(stack, live) if live else not containers(stack.project)
        clean = recovered.code == 0 and live == right and whole and not lost
        outcome = f"{live or 'nothing'}, exit {recovered.code}"
        named = f"{at.command[0]}: {line}"[:25]
        yield Killed(number, named, " ".join(verb), outcome, recovered.seconds, lost, clean)


def _last_line(stack: Stack) -> str:
    journal = stack.home / "journal" / "switch.json"
    if not journal.exists():
        return "in history"
    said = json.loads(journal.read_text(encoding="utf-8"))
    if said["outcome"] != "running":
        return str(said["outcome"])
    acts = said["acts"]
    return f"{acts[-1]['op']} {acts[-1]['target']}"[:25] if acts else "begun"
