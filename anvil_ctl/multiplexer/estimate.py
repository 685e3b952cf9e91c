"""How long things take: what was measured of each model, and what that means for who waits."""

from __future__ import annotations

from dataclasses import dataclass

from anvil_ctl.multiplexer.role import Role, State, Waiter


@dataclass(slots=True)
class Measured:
    """How long a model's phases take, in seconds. The registry's figure serves until one is seen.

    The last one seen and all before it weigh the same, so that the figure follows a change.
    """

    load_s: float
    drain_s: float = 0.0
    stop_s: float = 0.0
    loads: int = 0

    def loaded(self, took_s: float) -> None:
        """Take in one load."""
        self.load_s = (self.load_s + took_s) / 2 if self.loads else took_s
        self.loads += 1

    def drained(self, took_s: float) -> None:
        """Take in one drain."""
        self.drain_s = (self.drain_s + took_s) / 2

    def stopped(self, took_s: float) -> None:
        """Take in one stop."""
        self.stop_s = (self.stop_s + took_s) / 2 if self.stop_s else took_s


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
    running = role.holder if role.state is State.LOADING else None
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
    if role.state is State.DRAINING:
        return max(0.0, known.drain_s - spent) + known.stop_s
    if role.state is State.STOPPING:
        return max(0.0, known.stop_s - spent)
    return 0.0
