"""One run of the command line, followed event by event, so that something can be done in time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.e2e.stack import ANVIL_CTL, Stack

Event = Mapping[str, object]
# Called with each event as it comes and the process: may break something, or kill it.
Meddle = Callable[[Event, "subprocess.Popen[str]"], None]


@dataclass
class Ran:
    """How a run ended. Moments are monotonic seconds; `undo` is when it began to take back."""

    code: int = 0
    out: str = ""
    words: str = ""
    began: float = 0.0
    ended: float = 0.0
    held: float | None = None
    undo: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    # What its steps have said on the way.
    said: str = ""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def run(
    stack: Stack,
    *arguments: str,
    meddle: Meddle = lambda _event, _process: None,
    program: Sequence[str] = (str(ANVIL_CTL),),
) -> Ran:
    """Run a verb with its progress as JSON; whatever it ends with."""
    ran = Ran(began=time.monotonic())
    with subprocess.Popen(
        [*stack.enter, *program, *arguments, "--progress", "json"],
        env=stack.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        words = []
        for line in process.stderr:
            event: Event = {}
            with contextlib.suppress(ValueError):
                event = json.loads(line)
            if not isinstance(event, dict) or "step" not in event:
                words.append(line)
                continue
            _note(ran, event)
            meddle(event, process)
        ran.out = process.stdout.read() if process.stdout else ""
    ran.ended = time.monotonic()
    ran.code, ran.words = process.returncode, "".join(words)
    return ran


def _note(ran: Ran, event: Event) -> None:
    step, state = str(event["step"]), event["state"]
    ran.said += f"{event['text']} {event.get('detail', '')}\n"
    if step.startswith("hold.") and state == "working":
        ran.held = time.monotonic()
    if step == "undo":
        ran.undo = time.monotonic()
    if state == "done" and "." in step:
        ran.phases[step.split(".", maxsplit=1)[0]] = ran.phases.get(
            step.split(".", maxsplit=1)[0], 0.0
        ) + float(str(event["elapsed_s"]))


def at(step: str, state: str, act: Callable[[], object]) -> Meddle:
    """Do something once, when a step begins (`working`) or has ended (`done`)."""
    done: list[bool] = []

    def meddle(event: Event, _process: subprocess.Popen[str]) -> None:
        if not done and str(event["step"]).startswith(f"{step}.") and event["state"] == state:
            done.append(True)
            act()

    return meddle
