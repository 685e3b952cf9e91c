"""What acts say while they work, what they find, and whether they should go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from anvil_ctl.events import Event, Report, State, silent


def _go_on() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Canary:
    """A preset that was asked for one token; `tier` is who answered, or why nobody was asked."""

    preset: str
    tier: str
    seconds: float
    asked: bool = True


@dataclass(slots=True)
class Watch:
    """Handed to the acts of one transition.

    `stop` raises where the user wants an end: it is called where ending costs nothing.
    `expected_s` is how long requests will wait, `step` the name of the act that runs, `source`
    the mode that is left.
    """

    report: Report = silent
    stop: Callable[[], None] = _go_on
    expected_s: float | None = None
    step: str = ""
    source: str = ""
    canaries: list[Canary] = field(default_factory=list)

    def working(self, text: str, elapsed_s: float, detail: str) -> None:
        """The running act goes on; `detail` is the last thing that its engine said."""
        self.report(Event(self.step, text, State.WORKING, elapsed_s, None, detail))

    def warn(self, text: str) -> None:
        self.report(Event(self.step or "note", text, State.WARNING))
