"""Progress as data: long work reports Events, and the console decides how they look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a step stands."""

    WORKING = "working"
    DONE = "done"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of progress. Times are in seconds; `estimate_s` is None where unknown.

    `detail` is what the thing that is waited for said last.
    `fraction` is how much of the step is done, for steps that know, and `parts` the same of what
    is being worked on, each with its name.
    """

    step: str
    text: str
    state: State
    elapsed_s: float = 0.0
    estimate_s: float | None = None
    detail: str = ""
    fraction: float | None = None
    parts: tuple[tuple[str, float], ...] = ()


Report = Callable[[Event], None]


def silent(_event: Event) -> None:
    """A Report that drops everything."""


@contextmanager
def step(report: Report, name: str, text: str, estimate_s: float | None = None) -> Iterator[None]:
    """Report that a step works, and then that it is done or has failed, with its duration."""
    started = time.monotonic()
    report(Event(name, text, State.WORKING, 0.0, estimate_s))
    try:
        yield
    except BaseException:
        report(Event(name, text, State.FAILED, time.monotonic() - started, estimate_s))
        raise
    report(Event(name, text, State.DONE, time.monotonic() - started, estimate_s))
