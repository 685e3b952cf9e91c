"""A scheduler whose effects only remember what they were told."""

from __future__ import annotations

from dataclasses import dataclass, field

from anvil_ctl.multiplexer.model import Model, Refusal
from anvil_ctl.multiplexer.role import Bounds
from anvil_ctl.multiplexer.scheduler import Scheduler
from anvil_ctl.multiplexer.turn import Pace


def model(name: str, role: str = "cpu", drain_timeout_s: float = 30.0) -> Model:
    return Model(
        name=name,
        tier=f"tier-{name}",
        role=role,
        container=f"box-{name}",
        url=f"http://{name}:8080",
        drain_timeout_s=drain_timeout_s,
        load_estimate_s=3.0,
    )


@dataclass
class Recorded:
    """Effects that only remember what they were told, in order."""

    acts: list[str] = field(default_factory=list)
    refusals: dict[int, Refusal] = field(default_factory=dict)
    no_room: dict[str, Refusal] = field(default_factory=dict)

    def grant(self, ticket: int) -> None:
        self.acts.append(f"grant {ticket}")

    def refuse(self, ticket: int, refusal: Refusal) -> None:
        self.acts.append(f"refuse {ticket}")
        self.refusals[ticket] = refusal

    def sever(self, ticket: int) -> None:
        self.acts.append(f"sever {ticket}")

    def forbids(self, model: Model, leaving: Model | None) -> Refusal | None:
        return self.no_room.get(model.name)

    def start(self, model: Model) -> None:
        self.acts.append(f"start {model.name}")

    def stop(self, model: Model, *, park: bool) -> None:
        self.acts.append(f"stop {model.name}")

    def taken(self) -> list[str]:
        acts, self.acts = self.acts, []
        return acts


class Floor:
    """A scheduler over models a, b and c of one role, and d of another."""

    def __init__(
        self,
        bounds: Bounds | None = None,
        drain_timeout_s: float = 30.0,
        pace: Pace | None = None,
    ) -> None:
        self.effects = Recorded()
        rows = [model(name, drain_timeout_s=drain_timeout_s) for name in "abc"]
        self.scheduler = Scheduler([*rows, model("d", "gpu")], self.effects, bounds, pace)
        self.role = self.scheduler.roles["cpu"]

    def full(self, name: str) -> None:
        """From now on, there is no room for a model."""
        self.effects.no_room[name] = Refusal(503, "insufficient_memory", "no room", 30)

    def resident(self, name: str) -> None:
        """Make a model the resident, and forget how that went."""
        self.scheduler.ask(0, name, 0.0)
        self.scheduler.started(name, 1.0)
        self.scheduler.leave(0, 1.0)
        self.effects.taken()
