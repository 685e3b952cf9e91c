from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from anvil_ctl.config import Mode
from anvil_ctl.errors import AnvilError, BusyError, GateError, NotRestoredError, StoppedError
from anvil_ctl.lifecycle.former import Former
from anvil_ctl.lifecycle.journal import Journal, interrupted, lock
from anvil_ctl.lifecycle.observe import Snapshot, goal
from anvil_ctl.lifecycle.plan import Act, Observed, Op, TierState
from anvil_ctl.lifecycle.transition import Transition
from anvil_ctl.lifecycle.watch import Watch
from anvil_ctl.paths import Home
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.site import Site
from tests.unit.definitions import cpu, renderer

NOTHING = Observed({}, None, None, None, None)


@dataclass
class FakeWorld:
    """A machine in memory: acts change what is observed, and one act can be told to fail."""

    site: Site
    observed: Observed = NOTHING
    fail_at: Op | None = None
    failure: BaseException | None = None
    signal_at: Op | None = None
    signals: int = 1
    fail_restoring: bool = False
    refuse: str = ""
    skipped: tuple[str, ...] = ()
    image: str | None = "sha256:1"
    done: list[str] = field(default_factory=list)

    def snapshot(self) -> Snapshot:
        return Snapshot((), None, None, self.observed)

    def control_hash(self) -> str:
        return "c1"

    def images(self, target: Mode) -> Mapping[str, str | None]:
        return {"anvil/llamacpp-cpu:test": self.image}

    def hooks(self) -> tuple[str, ...]:
        return ()

    def await_docker(self) -> None:
        self.done.append("await docker")

    def check_gates(self, files: ModeFiles) -> tuple[str, ...]:
        if self.refuse:
            raise GateError(self.refuse)
        return self.skipped

    def effects(self, files: ModeFiles | None, watch: Watch) -> FakeEffects:
        return FakeEffects(self, files)

    def former(self, found: Snapshot) -> Former | None:
        mode = found.observed.router_mode
        if mode is None:
            return None
        return Former("agentic" if mode == "agentic" else "flexibility", "", "", "", (), 1)

    def reinstate(self, former: Former, failed: Mode) -> None:
        self.done.append(f"reinstate {former.mode}")
        if self.fail_restoring:
            raise AnvilError("no space left on device")
        self.observed = live(self.site, former.mode)

    def readmit(self) -> None:
        self.done.append("readmit")

    def keep_logs(self, mode: Mode) -> None:
        self.done.append(f"keep logs of {mode}")


@dataclass
class FakeEffects:
    world: FakeWorld
    files: ModeFiles | None

    def perform(self, act: Act) -> str:
        self.world.done.append(f"{act.op} {act.target}")
        if act.op is self.world.fail_at:
            raise self.world.failure or AnvilError(f"{act.op} failed")
        if act.op is self.world.signal_at:
            for _ in range(self.world.signals):
                signal.raise_signal(signal.SIGINT)
        if act.op is Op.DOWN:
            kept = {k: v for k, v in self.world.observed.tiers.items() if k != act.target}
            self.world.observed = replace(self.world.observed, tiers=kept)
        if act.op is Op.RELEASE and self.files:
            self.world.observed = live(self.world.site, self.files.mode)
        return f"{act.op} done"


def live(site: Site, mode: Mode) -> Observed:
    wanted = goal(site, site.renderer.mode(mode), "c1")
    tiers = {tier.id: TierState("running", tier.config_hash) for tier in wanted.tiers}
    return Observed({mode: tiers}, "c1", wanted.router_hash, wanted.registry_hash, mode, True)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Home(tmp_path / "anvil"), cpu(), {}, renderer(cpu()), {})


def outcomes(site: Site) -> list[str]:
    """The outcome of each finished journal, oldest first."""
    found = sorted((site.home.journal / "history").glob("*.json"))
    return [json.loads(each.read_text(encoding="utf-8"))["outcome"] for each in found]


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


def test_after_a_killed_command_only_recover_goes_on(site: Site) -> None:
    Journal(site.home.journal, ["agentic"], "flexibility").write()
    world = FakeWorld(site, live(site, "agentic"))

    with pytest.raises(BusyError) as raised:
        Transition(site, world).run("switch", "flexibility")
    assert raised.value.hint == "anvil-ctl recover"

    Transition(site, world).run("recover", "flexibility")
    assert world.observed.router_mode == "flexibility"
    assert outcomes(site) == ["superseded", "complete"]


def test_a_mode_that_a_killed_command_had_nearly_brought_up_is_proved_and_let_go_on(
    site: Site,
) -> None:
    Journal(site.home.journal, ["flexibility"], "agentic").write()
    world = FakeWorld(site, replace(live(site, "agentic"), held=True))

    Transition(site, world).run("recover", "agentic")

    assert world.done[-4:] == ["canary starter", "router router", "prove presets", "release router"]
    assert not world.observed.held


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


def test_a_plan_says_why_the_verb_would_not_begin_and_what_to_do(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"))
    up = Transition(site, world).preview("up", "flexibility")
    world.refuse = "no image"
    switch = Transition(site, world).preview("switch", "flexibility")

    assert up.refused == "mode agentic is live. next: anvil-ctl switch flexibility"
    assert switch.refused == "no image"
    assert str(switch).endswith("refused now: no image")
    assert world.done == []


def test_a_plan_that_was_printed_is_carried_out_or_refused_if_anything_changed(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"))
    printed = Transition(site, world).preview("switch", "flexibility").hash
    world.image = "sha256:2"

    with pytest.raises(GateError, match="what it is made from has changed") as raised:
        Transition(site, world).run("switch", "flexibility", printed)
    assert raised.value.hint == "anvil-ctl plan switch flexibility"
    assert world.done == []

    world.image = "sha256:1"
    outcome = Transition(site, world).run("switch", "flexibility", printed)
    journal = next((site.home.journal / "history").glob("*.json"))
    assert outcome.hash == printed
    assert json.loads(journal.read_text(encoding="utf-8"))["plan"] == printed


def test_down_has_a_plan_too_and_holds_to_it(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"))
    printed = Transition(site, world).preview("down", None)
    assert printed.refused is None

    with pytest.raises(GateError):
        Transition(site, world).stop("another")
    assert Transition(site, world).stop(printed.hash).hash == printed.hash


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


def test_a_command_that_was_cut_off_is_taken_back_to_what_it_had_found(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), fail_at=Op.UP, failure=KilledError())
    with pytest.raises(KilledError):
        Transition(site, world).run("switch", "flexibility")
    assert interrupted(site.home.journal) is not None
    # The wreck says nothing of what had been live: the router may have the new mode's files.
    world.observed, world.fail_at = replace(NOTHING, router_mode="flexibility"), None

    assert Transition(site, world).undo_interrupted() == "agentic"

    assert world.done[-1] == "reinstate agentic"
    assert interrupted(site.home.journal) is None


def test_a_recovery_that_fails_goes_back_to_what_the_killed_command_had_found(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), fail_at=Op.UP, failure=KilledError())
    with pytest.raises(KilledError):
        Transition(site, world).run("switch", "flexibility")
    world.observed, world.failure = replace(NOTHING, router_mode="flexibility"), None

    with pytest.raises(AnvilError, match="up failed"):
        Transition(site, world).run("recover", "flexibility")

    assert world.done[-1] == "reinstate agentic"
    assert outcomes(site)[-1] == "rolled_back"


def test_a_journal_whose_command_ended_before_it_was_moved_asks_for_no_recovery(site: Site) -> None:
    journal = Journal(site.home.journal, ["agentic"], "flexibility", outcome="complete")
    journal.write()
    world = FakeWorld(site, live(site, "flexibility"))

    assert interrupted(site.home.journal) is None
    Transition(site, world).run("switch", "agentic")

    assert outcomes(site) == ["complete", "complete"]


def test_where_nothing_was_cut_off_recover_puts_away_what_is_left(site: Site) -> None:
    Journal(site.home.journal, ["agentic"], "flexibility", outcome="complete").write()

    Transition(site, FakeWorld(site, live(site, "flexibility"))).tidy()

    assert outcomes(site) == ["complete"]
    assert not (site.home.journal / "switch.json").exists()


class KilledError(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def test_the_first_ctrl_c_is_heeded_at_a_safe_point_and_undone(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), signal_at=Op.DOWN)

    with pytest.raises(StoppedError) as raised:
        Transition(site, world).run("switch", "flexibility")

    assert raised.value.exit_code == 130
    assert world.done[-1] == "reinstate agentic"
    assert "install flexibility" not in world.done
    assert outcomes(site) == ["rolled_back"]


def test_a_second_ctrl_c_ends_the_command_and_recover_goes_on(site: Site) -> None:
    world = FakeWorld(site, live(site, "agentic"), signal_at=Op.DOWN, signals=2)

    with pytest.raises(KeyboardInterrupt):
        Transition(site, world).run("switch", "flexibility")

    assert str(interrupted(site.home.journal)) == "agentic -> flexibility"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
