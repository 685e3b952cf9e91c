"""Whose turn is next, and when the resident makes way. Pure: times are passed in.

Every threshold is a share of what the swap costs, as measured: a model that is back in half a
second may come and go by the second, one that loads for ten minutes stays for ten minutes. What
has not been measured yet counts as nothing, so that a guess never holds anybody back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anvil_ctl.multiplexer.estimate import Measured
from anvil_ctl.multiplexer.model import Model
from anvil_ctl.multiplexer.role import Role, State, Swap, Waiter


@dataclass(frozen=True, slots=True)
class Pace:
    """How readily models change, in shares of a swap's cost.

    `residency`: how long a resident that is in use stays at least. With 1, no more than half of
    the time is spent on swaps, whatever is asked for. `patience`: how long somebody waits for
    others who want the same model, unless `crowd` of them are there. `quiet`: how long a resident
    is without a request before it counts as unused: a client that asks again at once keeps it.
    """

    residency: float = 1.0
    patience: float = 0.5
    patience_most_s: float = 120.0
    crowd: int = 4
    quiet: float = 0.1


def chosen(role: Role) -> Waiter | None:
    """Who decides which model is next: whoever has waited longest for another than the holder.

    Somebody interactive goes first if that lets nobody be passed for a second time.
    """
    others = role.others()
    if not others:
        return None
    if role.swap is not None and role.asked_for(role.swap.target):
        # What has begun is not reconsidered while somebody wants it.
        return next(waiter for waiter in role.waiters if waiter.model == role.swap.target)
    jumper = next((waiter for waiter in others if waiter.interactive), None)
    if jumper is None or any(waiter.passed for waiter in overtaken(role, jumper)):
        return others[0]
    return jumper


def overtaken(role: Role, jumper: Waiter) -> list[Waiter]:
    """Who has waited longer than `jumper`, for another model."""
    before = role.waiters[: role.waiters.index(jumper)]
    return [waiter for waiter in before if waiter.model != jumper.model]


def cuts_short(role: Role, waiter: Waiter) -> bool:
    """Whether a waiter need not let the resident have its time: never twice in a row."""
    return waiter.interactive and not role.cut_short


def take(role: Role, first: Waiter, now: float) -> bool:
    """The turn of `first` begins: a swap is under way. Whether somebody is passed by it."""
    if role.swap is not None and role.swap.target == first.model:
        return False
    passed = overtaken(role, first)
    for waiter in passed:
        waiter.passed += 1
    jumped = role.state is State.READY and cuts_short(role, first)
    if role.swap is None:
        role.swap = Swap(role.holder, first.model, now, jumped=jumped)
    role.swap.target = first.model
    return bool(passed)


def due(role: Role, measured: Mapping[str, Measured], pace: Pace) -> float | None:
    """When the resident makes way if nothing happens until then; None if nobody wants another."""
    first = chosen(role)
    if first is None or role.holder is None:
        return None
    if cuts_short(role, first):
        return first.since
    others = role.others()
    cost = swap_s(measured, role.holder, first.model)
    oldest = min(waiter.since for waiter in others)
    waited = oldest + min(pace.patience * cost, pace.patience_most_s)
    if len(others) >= pace.crowd:
        waited = oldest
    times = [max(served_until(role, measured, pace, cost), waited)]
    if not role.leases:
        times.append(role.idle_since + pace.quiet * cost)
    return min(times)


def served_until(role: Role, measured: Mapping[str, Measured], pace: Pace, cost_s: float) -> float:
    """The end of the resident's minimum residency, given what the swap away from it costs."""
    loaded = measured[role.holder].load_known_s if role.holder is not None else 0.0
    return role.ready_since + pace.residency * max(loaded, cost_s)


def swap_s(measured: Mapping[str, Measured], holder: str, target: str) -> float:
    """What a swap takes in seconds, by what is known of both models: drain, stop and load."""
    leaving = measured[holder]
    return leaving.drain_s + leaving.stop_s + measured[target].load_known_s


def longest_wait_s(
    models: Mapping[str, Model], measured: Mapping[str, Measured], pace: Pace
) -> float:
    """The most seconds until somebody who asks now is served, if every swap goes as measured.

    A turn is a residency, a drain and a swap. Who waits sees what is under way now, one turn of
    each model before its own, and one of somebody interactive who is let in first.
    """
    loads = max(measured[name].load_known_s for name in models)
    leaving = max(measured[name].drain_s + measured[name].stop_s for name in models)
    cost = leaving + loads
    stay = max(pace.residency * cost, min(pace.patience * cost, pace.patience_most_s))
    drain = max(model.drain_timeout_s for model in models.values())
    stop = max(measured[name].stop_s for name in models)
    return (len(models) + 2) * (stay + drain + stop + loads)
