"""What the container says while it works, as Events: how far, how fast, and how much longer."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anvil_ctl.events import Event, Report, State
from anvil_ctl.weights.choice import gigabytes
from anvil_ctl.weights.plan import duration

_VERBS = {"move": "pull", "verify": "verify", "take": "store"}
# The rate is that of the last seconds: a line that got faster is believed soon.
_WINDOW_S = 15.0


@dataclass(slots=True)
class Progress:
    """Turns the container's messages about `name` into Events of the step `step`."""

    step: str
    name: str
    report: Report
    rate: float | None = None
    _points: deque[tuple[float, int]] = field(default_factory=deque)
    _began: float | None = None

    def __call__(self, message: Mapping[str, Any]) -> None:
        if message["say"] == "note":
            self.report(Event(self.step, message["text"], State.WARNING))
        elif message["say"] == "progress" and message["total"]:
            self.report(self._event(message))

    def _event(self, message: Mapping[str, Any]) -> Event:
        at, done, total = message["at"], message["done"], message["total"]
        self._began = at if self._began is None else self._began
        self._points.append((at, done))
        while len(self._points) > 2 and at - self._points[0][0] > _WINDOW_S:
            self._points.popleft()
        first = self._points[0]
        if at > first[0]:
            self.rate = max(done - first[1], 0) / (at - first[0])
        verb, of = _VERBS[message["what"]], f"{gigabytes(done)} of {gigabytes(total)}"
        text = f"{verb} {self.name}: {of}"
        if self.rate:
            text += f", {gigabytes(self.rate)}/s, {duration((total - done) / self.rate)} left"
        parts = tuple((name, size and now / size) for name, now, size in message["files"])
        return Event(
            self.step,
            text,
            State.WORKING,
            at - self._began,
            fraction=min(done / total, 1.0),
            parts=parts,
        )
