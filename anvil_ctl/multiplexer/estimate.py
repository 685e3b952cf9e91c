"""How long things take: what was measured of each model, and what that means for who waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from anvil_ctl.multiplexer.role import Role, State, Waiter

# How a model is brought in where nothing keeps it half-way there: its container is started.
START, STOP = "start", "stop"


@dataclass(slots=True)
class Measured:
    """How long a model's phases take, in seconds, by the way in which they were done.

    The registry's figure serves as an estimate until one is seen, and never as a threshold. The
    last one seen and all before it weigh the same, so that the figure follows a change.
    """

    guess_s: float
    loads: dict[str, float] = field(default_factory=dict)
    stops: dict[str, float] = field(default_factory=dict)
    drain_s: float = 0.0
    # How it will be brought in and taken down next.
    enters: str = START
    leaves: str = STOP

    @property
    def load_s(self) -> float:
        """What the next load takes."""
        return self.loads.get(self.enters, self.guess_s)

    @property
    def load_known_s(self) -> float:
        """The same as measured; 0 if it never was."""
        return self.loads.get(self.enters, 0.0)

    @property
    def stop_s(self) -> float:
        """What the next stop takes; 0 if it was never measured."""
        return self.stops.get(self.leaves, 0.0)

    def loaded(self, took_s: float, how: str = START) -> None:
        """Take in one load."""
        _take(self.loads, how, took_s)

    def drained(self, took_s: float) -> None:
        """Take in one drain."""
        self.drain_s = (self.drain_s + took_s) / 2

    def stopped(self, took_s: float, how: str = STOP) -> None:
        """Take in one stop."""
        _take(self.stops, how, took_s)


def _take(known: dict[str, float], how: str, took_s: float) -> None:
    known[how] = (known[how] + took_s) / 2 if how in known else took_s


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands in the queue: 1 is next; and for about how many seconds more."""

    position: int
    estimate_s: float


def place(role: Role, measured: dict[str, Measured], ticket: int, now: float) -> Place | None:
    """The place of a waiter; None for a ticket that doesn't wait."""
    index = next((i for i, waiter in enumerate(role.waiters) if waiter.ticket == ticket), None)
    if index is None:
        return None
    ahead = role.waiters[: index + 1]
    return Place(index + 1, round(_until_served(role, measured, ahead, now), 1))


def _until_served(
    role: Role, measured: dict[str, Measured], ahead: list[Waiter], now: float
) -> float:
    total = _left_of_phase(role, measured, now)
    # While it stops, the holder is gone as far as whoever waits is concerned.
    running = role.holder if role.state in (State.LOADING, State.READY) else None
    mine = ahead[-1].model
    for model in dict.fromkeys(waiter.model for waiter in ahead):
        if mine == running:
            break
        if model != running:
            if running is not None:
                total += measured[running].drain_s + measured[running].stop_s
            total += measured[model].load_s
            running = model
    return total


def _left_of_phase(role: Role, measured: dict[str, Measured], now: float) -> float:
    if role.holder is None:
        return 0.0
    known, spent = measured[role.holder], now - role.since
    if role.state is State.LOADING:
        return max(0.0, known.load_s - spent)
    if role.state is State.READY and role.due is not None:
        return max(0.0, role.due - now)
    if role.state is State.DRAINING:
        return max(0.0, known.drain_s - spent) + known.stop_s
    if role.state is State.STOPPING:
        return max(0.0, known.stop_s - spent)
    return 0.0
