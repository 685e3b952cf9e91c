"""What the scheduler does when engines fail, die or are replaced, and at the end."""

from __future__ import annotations

import pytest

from anvil_ctl.multiplexer.model import UnknownModelError
from anvil_ctl.multiplexer.role import State

from .floor import Floor, model


def test_a_failed_start_refuses_its_waiters_and_restores_the_former_model(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "b", 2.0)
    floor.scheduler.ask(2, "a", 2.5)
    floor.scheduler.stopped("a", 3.0)
    floor.effects.taken()

    floor.scheduler.start_failed("b", "b exited with code 1 while loading", 4.0)
    assert floor.effects.taken() == ["refuse 1", "stop b"]
    refusal = floor.effects.refusals[1]
    assert (refusal.status, refusal.code) == (503, "backend_unavailable")
    assert "exited with code 1" in refusal.message

    floor.scheduler.stopped("b", 5.0)
    floor.scheduler.started("a", 6.0)
    assert floor.effects.taken() == ["start a", "grant 2"]
    assert floor.role.last_error == "b exited with code 1 while loading"
    assert floor.scheduler.counters.rollbacks == 1


def test_if_the_restored_model_fails_too_the_role_is_empty_and_says_so(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "b", 2.0)
    floor.scheduler.stopped("a", 3.0)
    floor.scheduler.start_failed("b", "b is broken", 4.0)
    floor.scheduler.stopped("b", 5.0)

    floor.scheduler.start_failed("a", "a is broken now", 6.0)
    floor.scheduler.stopped("a", 7.0)

    assert (floor.role.state, floor.role.resident) == (State.FAILED, None)
    assert floor.role.last_error == "a is broken now"


def test_a_failed_role_loads_again_when_asked(floor: Floor) -> None:
    floor.scheduler.ask(1, "a", 0.0)
    floor.scheduler.start_failed("a", "broken", 1.0)
    floor.scheduler.stopped("a", 2.0)
    assert floor.role.state is State.FAILED
    floor.effects.taken()

    floor.scheduler.ask(2, "b", 3.0)

    assert floor.effects.taken() == ["start b"]


def test_a_stop_that_fails_keeps_the_old_model_and_refuses_the_swap(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "b", 2.0)
    floor.scheduler.ask(2, "a", 2.5)
    floor.effects.taken()

    floor.scheduler.stop_failed("a", "box-a still runs", 4.0)

    assert floor.effects.taken() == ["refuse 1", "grant 2"]
    assert floor.role.resident == "a"
    assert "still runs" in floor.effects.refusals[1].message


def test_a_failed_model_that_can_not_be_stopped_is_stopped_before_anything_starts(
    floor: Floor,
) -> None:
    floor.scheduler.ask(1, "a", 0.0)
    floor.scheduler.start_failed("a", "broken", 1.0)
    floor.scheduler.stop_failed("a", "box-a still runs", 2.0)
    assert (floor.role.state, floor.role.holder) == (State.FAILED, "a")
    floor.effects.taken()

    floor.scheduler.ask(2, "b", 3.0)
    assert floor.effects.taken() == ["stop a"]
    floor.scheduler.stopped("a", 4.0)

    assert floor.effects.taken() == ["start b"]


def test_a_resident_that_dies_is_restarted_once(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.effects.taken()

    floor.scheduler.died("a", "box-a exited with code 137", 3.0)
    assert floor.effects.taken() == ["sever 1", "start a"]
    floor.scheduler.started("a", 4.0)
    floor.scheduler.died("a", "box-a exited with code 137", 5.0)

    assert floor.effects.taken() == []
    assert (floor.role.state, floor.role.holder) == (State.FAILED, None)


def test_a_resident_that_dies_again_much_later_is_restarted_again(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.died("a", "gone", 3.0)
    floor.scheduler.started("a", 4.0)
    floor.effects.taken()

    floor.scheduler.died("a", "gone", 64.0)

    assert floor.effects.taken() == ["start a"]


def test_a_resident_that_dies_while_it_drains_makes_way(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "b", 3.0)
    floor.effects.taken()

    floor.scheduler.died("a", "gone", 4.0)

    assert floor.effects.taken() == ["sever 1", "stop a"]


def test_a_running_container_is_adopted_without_a_stop(floor: Floor) -> None:
    floor.scheduler.adopt("b", 0.0)
    assert floor.effects.taken() == ["start b"]

    floor.scheduler.started("b", 0.1)

    assert floor.role.resident == "b"
    assert floor.scheduler.measured["b"].load_s == 3.0, "an adoption tells nothing about a load"


def test_closing_refuses_waiters_drains_and_stops(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "b", 2.0)
    floor.effects.taken()

    floor.scheduler.close(3.0)
    floor.scheduler.ask(3, "a", 3.5)
    assert floor.effects.taken() == ["refuse 2", "refuse 3"]
    floor.scheduler.leave(1, 4.0)
    floor.scheduler.stopped("a", 5.0)

    assert floor.effects.taken() == ["stop a"]
    assert (floor.role.state, floor.role.closing) == (State.IDLE, False)


def test_closing_gives_up_a_load(floor: Floor) -> None:
    floor.scheduler.ask(1, "a", 0.0)
    floor.effects.taken()

    floor.scheduler.close(1.0)

    assert floor.effects.taken() == ["refuse 1", "stop a"]
    floor.scheduler.stopped("a", 2.0)
    assert floor.role.state is State.IDLE


def test_other_models_replace_these_and_nothing_is_left_behind(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.scheduler.ask(2, "b", 2.0)
    floor.effects.taken()

    kept = floor.scheduler.replace([model("x"), model("y")], 3.0)

    assert kept == frozenset()
    assert floor.effects.taken() == ["refuse 2", "sever 1"]
    assert floor.scheduler.roles["cpu"].state is State.IDLE
    floor.scheduler.leave(1, 4.0)
    floor.scheduler.leave(2, 4.0)
    with pytest.raises(UnknownModelError):
        floor.scheduler.ask(3, "a", 5.0)


def test_a_resident_that_is_still_in_the_registry_stays(floor: Floor) -> None:
    floor.resident("a")
    floor.scheduler.ask(1, "a", 2.0)
    floor.effects.taken()

    kept = floor.scheduler.replace([model("a"), model("z")], 3.0)

    assert kept == {"cpu"}
    assert floor.effects.taken() == []
    assert floor.scheduler.roles["cpu"].leases == {1: "a"}
