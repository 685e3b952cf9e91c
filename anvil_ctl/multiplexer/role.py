"""One role: the hardware that a group of models shares, and how it stands. Plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from anvil_ctl.errors import AnvilError
from anvil_ctl.multiplexer.model import Model


class State(StrEnum):
    """How a role stands."""

    IDLE = "idle"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


# From each state, the states that may follow.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.IDLE: frozenset({State.LOADING, State.STOPPING}),
    State.LOADING: frozenset({State.READY, State.STOPPING}),
    State.READY: frozenset({State.DRAINING, State.LOADING, State.FAILED}),
    State.DRAINING: frozenset({State.READY, State.STOPPING}),
    State.STOPPING: frozenset({State.LOADING, State.READY, State.IDLE, State.FAILED}),
    State.FAILED: frozenset({State.LOADING, State.STOPPING}),
}


class IllegalTransitionError(AnvilError):
    """A role was told to go where its state does not lead: a bug, never a user's doing."""

    def __init__(self, role: str, old: State, new: State) -> None:
        super().__init__(f"role {role}: {old} does not lead to {new}")


class Why(StrEnum):
    """Why a container is being loaded or stopped; decides what a failure or an end leads to."""

    ASKED = "asked"
    ADOPTED = "adopted"
    RESTARTED = "restarted"
    RESTORED = "restored"
    GIVEN_UP = "given-up"
    START_FAILED = "start-failed"


@dataclass(slots=True)
class Waiter:
    """Somebody who waits for a model. `since` is the time of asking.

    `passed` is how often somebody interactive who came later was let in first.
    """

    ticket: int
    model: str
    since: float
    interactive: bool = False
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Broken:
    """A model that did not come up, or went down twice: not tried again before `until`."""

    cause: str
    until: float
    times: int


@dataclass(slots=True)
class Swap:
    """A change of resident as it goes, and afterwards the record of it. Times are in seconds."""

    source: str | None
    target: str
    began: float
    drain_s: float = 0.0
    stop_s: float = 0.0
    load_s: float = 0.0
    # How the one went and the other came: stop and start, or what an engine has that is quicker.
    left: str = ""
    entered: str = ""
    severed: int = 0
    # Somebody interactive did not let the former resident have its time.
    jumped: bool = False
    result: str = "under way"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of every role. Times are in seconds."""

    max_waiting: int = 32
    max_wait_s: float = 900.0
    restart_window_s: float = 60.0
    # A model that fails is let alone for as long as its failure took, twice that the next time ...
    backoff_least_s: float = 2.0
    backoff_most_s: float = 600.0


@dataclass(slots=True)
class Counters:
    """What has happened since the start."""

    swaps: int = 0
    drain_waits: int = 0
    severed: int = 0
    rollbacks: int = 0
    given_up: int = 0
    jumps: int = 0
    load_failures: int = 0
    restarts: int = 0
    refusals: int = 0
    oom_refusals: int = 0


@dataclass(slots=True)
class Role:
    """A role's state. `holder` is the model whose container may be running, whatever the state.

    `previous` is the model to restore if the one being loaded fails. `idle_since` is when the last
    lease ended. `cut_short` says that this residency began by cutting another's short. `parked` are
    the models that sleep in a running container.
    """

    name: str
    models: dict[str, Model]
    state: State = State.IDLE
    since: float = 0.0
    why: Why = Why.ASKED
    holder: str | None = None
    previous: str | None = None
    drain_by: float = 0.0
    ready_since: float = 0.0
    idle_since: float = 0.0
    cut_short: bool = False
    # READY: when the resident makes way if nothing happens until then.
    due: float | None = None
    restarted_at: float | None = None
    closing: bool = False
    swap: Swap | None = None
    last_swap: Swap | None = None
    last_error: str | None = None
    waiters: list[Waiter] = field(default_factory=list)
    leases: dict[int, str] = field(default_factory=dict)
    broken: dict[str, Broken] = field(default_factory=dict)
    parked: dict[str, None] = field(default_factory=dict)

    @property
    def resident(self) -> str | None:
        """The model that serves: it still does while it drains."""
        return self.holder if self.state in (State.READY, State.DRAINING) else None

    def become(self, state: State, now: float) -> None:
        """Go to another state; IllegalTransitionError if the table has no such step."""
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransitionError(self.name, self.state, state)
        self.state = state
        self.since = now

    def finish(self, result: str) -> None:
        """The swap that is under way, if one is, has ended."""
        if self.swap is not None:
            self.swap.result = result
            self.last_swap, self.swap = self.swap, None

    def asked_for(self, name: str | None) -> bool:
        """Whether somebody waits for this model."""
        return any(waiter.model == name for waiter in self.waiters)

    def others(self) -> list[Waiter]:
        """Who waits for another model than the holder, whoever has waited longest first."""
        return [waiter for waiter in self.waiters if waiter.model != self.holder]

    def keep(self, models: dict[str, Model]) -> None:
        """Have only these models, and forget the others."""
        self.models = models
        self.previous = self.previous if self.previous in models else None
        self.parked = {name: None for name in self.parked if name in models}
        self.broken = {name: each for name, each in self.broken.items() if name in models}

    def in_flight(self) -> dict[str, int]:
        """Leases per model."""
        return _counted(self.leases.values(), self.models)

    def queued(self) -> dict[str, int]:
        """Waiters per model."""
        return _counted((waiter.model for waiter in self.waiters), self.models)


def _counted(names: Iterable[str], models: dict[str, Model]) -> dict[str, int]:
    counts = dict.fromkeys(models, 0)
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
