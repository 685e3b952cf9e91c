"""Who gets a lease, and when models make way."""

from __future__ import annotations

import pytest

from anvil_ctl.multiplexer.model import UnknownModelError
from anvil_ctl.multiplexer.role import Bounds, State

from .floor import Floor


def test_a_request_for_the_resident_gets_its_lease_at_once(floor: Floor) -> None:
    floor.resident("a")

    floor.scheduler.ask(1, "a", 2.0)

    assert floor.effects.taken() == ["grant 1"]
    assert floor.role.leases == {1: "a"}


def test_the_first_request_loads_its_model_and_is_granted_when_it_is_ready(floor: Floor) -> None:
    floor.scheduler.ask(1, "a", 0.0)
    assert floor.effects.taken() == ["start a"]

    floor.scheduler.started("a", 4.0)

    assert floor.effects.taken() == ["grant 1"]
    assert floor.scheduler.measured["a"].load_s == 4.0


def test_an_unknown_model_is_named_with_the_known_ones(floor: Floor) -> None:
    with pytest.raises(UnknownModelError, match="'x' is not known; known models: a, b, c, d"):
        floor.scheduler.ask(1, "x", 0.0)


def test_a_swap_waits_for_the_leases_then_stops_then_starts(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "b", 3.0)
    assert (floor.effects.taken(), floor.role.state) == (["grant 1"], State.DRAINING)

    floor.scheduler.leave(1, 5.0)
    assert (floor.effects.taken(), floor.role.state) == (["stop a"], State.STOPPING)

    floor.scheduler.stopped("a", 6.0)
    assert (floor.effects.taken(), floor.role.state) == (["start b"], State.LOADING)

    floor.scheduler.started("b", 9.0)
    assert (floor.effects.taken(), floor.role.state) == (["grant 2"], State.READY)
    swap = floor.role.last_swap
    assert swap is not None
    assert (swap.source, swap.target, swap.result) == ("a", "b", "ok")
    assert (swap.drain_s, swap.stop_s, swap.load_s, swap.severed) == (2.0, 1.0, 3.0, 0)
    assert floor.scheduler.counters.swaps == 1


def test_a_request_for_the_resident_during_its_drain_waits_for_its_turn(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "b", 3.0)
    floor.effects.taken()

    floor.scheduler.ask(3, "a", 4.0)

    assert floor.effects.taken() == []
    assert floor.role.queued() == {"a": 1, "b": 1, "c": 0}


def test_all_waiters_of_a_model_are_served_before_the_next_swap(floor: Floor) -> None:
    floor.resident("a")
    for ticket, name in enumerate(["b", "a", "b", "c", "b"], start=1):
        floor.scheduler.ask(ticket, name, 2.0 + ticket)
    floor.effects.taken()

    floor.scheduler.stopped("a", 10.0)
    floor.scheduler.started("b", 11.0)

    assert floor.effects.taken() == ["start b", "grant 1", "grant 3", "grant 5"]
    assert (floor.role.state, floor.role.due) == (State.READY, 12.0)
    for ticket in (1, 3, 5):
        floor.scheduler.leave(ticket, 12.0)
    floor.scheduler.stopped("b", 13.0)
    assert floor.effects.taken() == ["stop b", "start a"]


def test_when_the_drain_takes_too_long_the_leases_are_severed_and_counted(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "a", 2.0)
    floor.scheduler.ask(3, "b", 3.0)
    floor.effects.taken()
    assert floor.scheduler.next_tick() == 33.0

    floor.scheduler.tick(32.9)
    assert floor.effects.taken() == []
    floor.scheduler.tick(33.0)

    assert floor.effects.taken() == ["sever 1", "sever 2", "stop a"]
    assert floor.scheduler.counters.severed == 2
    assert floor.role.swap is not None
    assert floor.role.swap.severed == 2


def test_a_drain_timeout_of_zero_severs_at_once() -> None:
    floor = Floor(drain_timeout_s=0.0)
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)

    floor.scheduler.ask(2, "b", 3.0)

    assert floor.effects.taken() == ["grant 1", "sever 1", "stop a"]


def test_a_waiter_that_left_causes_no_swap(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "b", 3.0)
    floor.scheduler.ask(3, "a", 3.5)
    floor.effects.taken()

    floor.scheduler.leave(2, 4.0)

    assert floor.effects.taken() == ["grant 3"]
    assert floor.role.state is State.READY
    floor.scheduler.leave(1, 5.0)
    floor.scheduler.leave(3, 5.0)
    assert floor.effects.taken() == []


def test_if_everybody_leaves_while_the_old_model_stops_the_role_rests(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(2, "b", 3.0)
    floor.scheduler.leave(2, 4.0)

    floor.scheduler.stopped("a", 5.0)

    assert floor.effects.taken() == ["stop a"]
    assert (floor.role.state, floor.role.holder) == (State.IDLE, None)


def test_roles_do_not_evict_each_other(floor: Floor) -> None:
    floor.resident("a")

    floor.scheduler.ask(1, "d", 2.0)

    assert floor.effects.taken() == ["start d"]
    assert floor.role.resident == "a"


def test_the_queue_is_bounded() -> None:
    floor = Floor(Bounds(max_waiting=2))
    for ticket in (1, 2, 3):
        floor.scheduler.ask(ticket, "a", 0.0)

    refusal = floor.effects.refusals[3]
    assert (refusal.status, refusal.code, refusal.retry_after_s) == (503, "busy", 5)
    assert len(floor.role.waiters) == 2


def test_nobody_waits_past_the_bound() -> None:
    floor = Floor(Bounds(max_wait_s=10.0))
    floor.scheduler.ask(1, "a", 0.0)
    floor.scheduler.ask(2, "a", 1.0)
    assert floor.scheduler.next_tick() == 10.0

    floor.scheduler.tick(10.0)

    assert list(floor.effects.refusals) == [1]
    assert floor.scheduler.next_tick() == 11.0


def test_news_of_a_former_state_changes_nothing(floor: Floor) -> None:
    floor.resident("a")

    floor.scheduler.started("b", 2.0)
    floor.scheduler.stopped("a", 2.0)
    floor.scheduler.start_failed("a", "old news", 2.0)
    floor.scheduler.stop_failed("a", "old news", 2.0)
    floor.scheduler.died("b", "old news", 2.0)
    floor.scheduler.died("nobody", "old news", 2.0)

    assert floor.effects.taken() == []
    assert floor.role.resident == "a"


def test_who_waits_is_told_the_place_and_an_estimate(floor: Floor) -> None:
    floor.resident("a")  # took 1 s to load
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "b", 3.0)
    floor.scheduler.ask(3, "c", 3.0)

    second, third = floor.scheduler.place(2, 3.0), floor.scheduler.place(3, 3.0)

    assert second is not None
    assert third is not None
    assert (second.position, second.estimate_s) == (1, 3.0)
    assert (third.position, third.estimate_s) == (2, 6.0)
    assert floor.scheduler.place(1, 3.0) is None
