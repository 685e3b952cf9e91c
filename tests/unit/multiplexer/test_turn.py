"""When a resident makes way, with models whose loads and stops have been measured."""

from __future__ import annotations

from anvil_ctl.multiplexer.role import Bounds, State
from anvil_ctl.multiplexer.turn import Pace, longest_wait_s

from .floor import Floor


def settled(pace: Pace | None = None) -> Floor:
    """Model a is the resident since 100.0; each load takes 10 s, each stop 2."""
    floor = Floor(Bounds(max_waiting=64), pace=pace)
    for known in floor.scheduler.measured.values():
        known.loaded(10.0)
        known.stopped(2.0)
    floor.scheduler.ask(0, "a", 90.0)
    floor.scheduler.started("a", 100.0)
    floor.effects.taken()
    return floor


def test_a_resident_in_use_stays_as_long_as_the_swap_costs() -> None:
    floor = settled()
    floor.scheduler.ask(1, "b", 101.0)

    floor.scheduler.tick(111.9)
    assert (floor.role.resident, floor.scheduler.next_tick()) == ("a", 112.0)
    floor.scheduler.tick(112.0)

    assert floor.role.state is State.DRAINING


def test_meanwhile_who_asks_for_the_resident_is_served() -> None:
    floor = settled()
    floor.scheduler.ask(1, "b", 101.0)

    floor.scheduler.ask(2, "a", 105.0)

    assert floor.effects.taken() == ["grant 2"]


def test_a_waiter_lets_others_gather_for_half_of_the_swap() -> None:
    floor = settled()
    floor.scheduler.ask(1, "b", 150.0)

    assert floor.scheduler.next_tick() == 156.0


def test_a_crowd_need_not_wait_for_more() -> None:
    floor = settled()
    for ticket in range(1, 5):
        assert floor.role.state is State.READY
        floor.scheduler.ask(ticket, "b", 150.0)

    assert floor.role.state is State.DRAINING


def test_a_resident_that_nobody_uses_leaves_soon() -> None:
    floor = settled()
    floor.scheduler.ask(1, "b", 101.0)

    floor.scheduler.leave(0, 102.0)

    assert floor.scheduler.next_tick() == 103.2
    floor.scheduler.tick(103.2)
    assert floor.effects.taken() == ["stop a"]


def test_a_client_that_asks_again_at_once_keeps_its_model() -> None:
    floor = settled()
    floor.scheduler.ask(1, "b", 101.0)
    floor.scheduler.leave(0, 102.0)

    floor.scheduler.ask(2, "a", 102.5)
    floor.scheduler.tick(103.2)

    assert floor.effects.taken() == ["grant 2"]
    assert floor.scheduler.next_tick() == 112.0


def test_somebody_interactive_goes_first_and_at_once() -> None:
    floor = settled()
    floor.scheduler.ask(1, "b", 101.0)

    floor.scheduler.ask(2, "c", 102.0, interactive=True)
    floor.scheduler.leave(0, 103.0)
    floor.scheduler.stopped("a", 104.0)

    assert floor.effects.taken() == ["stop a", "start c"]
    assert floor.scheduler.counters.jumps == 1


def test_nobody_is_passed_twice_and_no_time_is_cut_short_twice_in_a_row() -> None:
    floor = settled()
    floor.scheduler.ask(1, "b", 101.0)
    floor.scheduler.ask(2, "c", 102.0, interactive=True)
    floor.scheduler.leave(0, 103.0)
    floor.scheduler.stopped("a", 104.0)
    floor.scheduler.started("c", 110.0)
    floor.effects.taken()

    floor.scheduler.ask(3, "a", 111.0, interactive=True)

    assert floor.role.state is State.READY, "c has its time"
    floor.scheduler.tick(140.0)
    assert floor.role.swap is not None
    assert floor.role.swap.target == "b"


def test_what_was_never_measured_holds_nobody_back() -> None:
    floor = Floor()
    floor.scheduler.ask(1, "a", 0.0)
    floor.scheduler.started("a", 0.0)

    floor.scheduler.ask(2, "b", 0.0)

    assert floor.role.state is State.DRAINING


def test_the_longest_wait_is_some_turns_of_residency_drain_and_swap() -> None:
    floor = settled()

    longest = longest_wait_s(floor.role.models, floor.scheduler.measured, floor.scheduler.pace)

    assert longest == 5 * (12.0 + 30.0 + 2.0 + 10.0)


def test_a_load_that_only_a_client_who_left_wanted_is_given_up_for_another_model() -> None:
    floor = Floor()
    floor.scheduler.ask(1, "a", 0.0)
    floor.scheduler.ask(2, "b", 1.0)
    floor.effects.taken()

    floor.scheduler.leave(1, 2.0)
    assert floor.effects.taken() == ["stop a"]
    floor.scheduler.stopped("a", 3.0)

    assert floor.effects.taken() == ["start b"]
    assert floor.scheduler.counters.given_up == 1


def test_a_load_that_nobody_wants_any_more_goes_on_if_nobody_wants_another() -> None:
    floor = Floor()
    floor.scheduler.ask(1, "a", 0.0)
    floor.scheduler.leave(1, 2.0)
    floor.scheduler.started("a", 3.0)

    assert floor.effects.taken() == ["start a"]
    assert floor.role.resident == "a"


def test_a_broken_model_does_not_end_the_resident_again_and_again() -> None:
    floor = settled()
    floor.scheduler.leave(0, 101.0)
    for ticket, (asked, pause) in enumerate([(200.0, 5.0), (300.0, 10.0)], start=1):
        floor.scheduler.ask(ticket, "b", asked)
        floor.scheduler.tick(asked + 20)
        floor.scheduler.stopped("a", asked + 21)
        floor.scheduler.start_failed("b", "b is broken", asked + 26)
        floor.scheduler.stopped("b", asked + 27)
        floor.scheduler.started("a", asked + 28)
        assert floor.role.broken["b"].until == asked + 26 + pause
    floor.effects.taken()

    floor.scheduler.ask(9, "b", 330.0)

    assert floor.effects.taken() == ["refuse 9"]
    refusal = floor.effects.refusals[9]
    assert refusal.message == "b is broken; b failed 2 times and is tried again in 6 s"
    assert refusal.retry_after_s == 6


def test_no_room_for_the_other_model_leaves_the_resident_as_it_is() -> None:
    floor = settled()
    floor.full("b")
    floor.scheduler.leave(0, 101.0)

    floor.scheduler.ask(1, "b", 150.0)
    floor.scheduler.tick(160.0)

    assert floor.effects.taken() == ["refuse 1"]
    assert (floor.role.resident, floor.scheduler.counters.oom_refusals) == ("a", 1)


def test_if_the_room_is_gone_when_the_old_model_has_stopped_it_is_restored() -> None:
    floor = settled()
    floor.scheduler.leave(0, 101.0)
    floor.scheduler.ask(1, "b", 150.0)
    floor.scheduler.tick(160.0)
    floor.full("b")

    floor.scheduler.stopped("a", 162.0)

    assert floor.effects.taken() == ["stop a", "refuse 1", "start a"]
