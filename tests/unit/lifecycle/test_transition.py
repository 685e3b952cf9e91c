"""Transitions in memory: what is done, in which order, and what is undone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from anvil_ctl.errors import AnvilError, BusyError, GateError, NotRestoredError
from anvil_ctl.lifecycle.journal import interrupted, lock
from anvil_ctl.lifecycle.plan import Op
from anvil_ctl.lifecycle.transition import Transition
from anvil_ctl.site import Site
from tests.unit.lifecycle.world import NOTHING, FakeWorld, live, outcomes


def test_a_switch_ends_with_the_other_mode_live_and_its_phases_timed(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"))

    outcome = Transition(site, world).run("switch", "flexibility")

    assert world.observed.router_mode == "flexibility"
    assert [phase.act for phase in outcome.phases] == list(outcome.plan.acts)
    assert outcomes(site) == ["complete"]


def test_what_already_runs_is_left_alone(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), refuse="gates are not even asked")

    assert Transition(site, world).run("up", "agentic").phases == ()
    assert world.done == []


def test_up_never_ends_the_mode_that_is_live(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"))

    with pytest.raises(GateError) as raised:
        Transition(site, world).run("up", "flexibility")

    assert raised.value.hint == "anvil-ctl switch flexibility"
    assert world.done == []


def test_a_gate_that_refuses_leaves_everything_as_it_was(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), refuse="no image")

    with pytest.raises(GateError, match="no image"):
        Transition(site, world).run("switch", "flexibility")

    assert world.done == []
    assert interrupted(site.home.journal) is None


@pytest.mark.parametrize("verb", ["up", "switch"])
def test_a_plan_for_another_machine_is_not_carried_out_on_this_one(site: Site, verb: str) -> None:
    elsewhere = site.config.machine.model_copy(update={"plan_only": True})
    planned = replace(site, config=site.config.model_copy(update={"machine": elsewhere}))
    world = FakeWorld(planned)

    with pytest.raises(GateError, match="plan for another machine") as raised:
        Transition(planned, world).run(verb, "agentic")

    assert raised.value.hint.endswith("anvil-ctl config set machine.plan_only false")
    found = Transition(planned, world).preview(verb, "agentic")
    assert found.steps
    assert "plan for another machine" in (found.refused or "")
    assert world.done == []


@pytest.mark.parametrize("op", [Op.RETIRE, Op.DOWN, Op.INSTALL, Op.UP, Op.CANARY, Op.ROUTER])
def test_a_failure_after_the_hold_brings_the_old_mode_back(site: Site, op: Op) -> None:
    world = FakeWorld(site, live(site, "agentic"), fail_at=op)

    with pytest.raises(AnvilError, match=f"{op} failed") as raised:
        Transition(site, world).run("switch", "flexibility")

    assert raised.value.exit_code == 1
    assert world.observed.router_mode == "agentic"
    assert world.done[-3:] == ["await docker", "keep logs of flexibility", "reinstate agentic"]
    assert outcomes(site) == ["rolled_back"]


def test_a_switch_does_not_replace_the_router_that_requests_wait_in(site: Site) -> None:
    world = FakeWorld(site, replace(live(site, "agentic"), control_hash="older"))

    with pytest.raises(GateError) as raised:
        Transition(site, world).run("switch", "flexibility")

    assert raised.value.hint == "anvil-ctl up --mode agentic, then: anvil-ctl switch flexibility"
    assert world.done == []


def test_a_drain_that_takes_too_long_only_readmits(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), fail_at=Op.DRAIN)

    with pytest.raises(AnvilError):
        Transition(site, world).run("switch", "flexibility")

    assert world.done[-1] == "readmit"
    assert not [each for each in world.done if each.startswith(("down", "reinstate"))]


def test_a_first_start_that_fails_leaves_nothing_behind(site: Site) -> None:
    world = FakeWorld(site, fail_at=Op.READY)

    with pytest.raises(AnvilError, match="ready failed"):
        Transition(site, world).run("up", "agentic")

    assert world.done[-2:] == ["down agentic", "stop router, multiplexer, guard"]


def test_a_rollback_that_fails_too_says_both_errors_the_first_one_first(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), fail_at=Op.UP, fail_restoring=True)

    with pytest.raises(NotRestoredError) as raised:
        Transition(site, world).run("switch", "flexibility")

    assert raised.value.exit_code == 5
    assert raised.value.message.index("up failed") < raised.value.message.index("no space left")
    assert outcomes(site) == ["failed"]


def test_two_commands_cannot_change_the_stack_at_once(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"))

    with lock(site.home.journal, "switch"), pytest.raises(BusyError, match="anvil-ctl switch"):
        Transition(site, world).run("switch", "flexibility")

    assert world.done == []


def test_down_stops_modes_and_control_and_is_a_no_op_the_second_time(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"))

    Transition(site, world).stop()
    assert world.done[-2:] == ["down agentic", "stop router, multiplexer, guard"]

    world.observed = NOTHING
    assert Transition(site, world).stop().phases == ()


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), RuntimeError("a fault")]
)
def test_whatever_goes_wrong_the_old_mode_comes_back(site: Site, failure: Exception) -> None:
    world = FakeWorld(site, live(site, "agentic"), fail_at=Op.UP, failure=failure)

    with pytest.raises(AnvilError, match=type(failure).__name__):
        Transition(site, world).run("switch", "flexibility")

    assert world.observed.router_mode == "agentic"
    assert outcomes(site) == ["rolled_back"]


def test_a_switch_leaves_a_record_of_what_it_proved(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), skipped=("D51: no weights",))

    outcome = Transition(site, world).run("switch", "flexibility")

    assert outcome.evidence is not None
    said = json.loads(outcome.evidence.read_text(encoding="utf-8"))
    files = site.renderer.mode("flexibility")
    assert (said["from"], said["to"], said["plan"]) == (["agentic"], "flexibility", outcome.hash)
    assert said["rendered"]["router.toml"] == hashlib.sha256(files.router.encode()).hexdigest()
    assert said["images"] == {"anvil/llamacpp-cpu:test": "sha256:1"}
    assert [each["act"] for each in said["phases"]] == [each.act.op for each in outcome.phases]
    assert said["phases"][0]["note"] == "hold done"
    assert [each["id"] for each in said["tiers"]] == ["quick", "long"]
    assert said["gates_skipped"] == ["D51: no weights"]
    assert outcome.evidence.parent == site.home.evidence
