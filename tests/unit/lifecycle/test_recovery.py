"""Commands that are cut off, by a kill or by Ctrl-C, and what recover makes of them."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from anvil_ctl.errors import AnvilError, BusyError, StoppedError
from anvil_ctl.lifecycle.journal import Journal, interrupted
from anvil_ctl.lifecycle.plan import Op
from anvil_ctl.lifecycle.transition import Transition
from anvil_ctl.site import Site
from tests.unit.lifecycle.world import NOTHING, FakeWorld, live, outcomes


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


def test_a_first_start_that_was_cut_off_is_taken_back_to_nothing(site: Site) -> None:
    cut_off_at(site, Op.READY)
    world = FakeWorld(site, live(site, "agentic"))

    assert Transition(site, world).undo_interrupted() is None

    assert world.done[-2:] == ["down agentic", "stop router, multiplexer, guard"]
    assert interrupted(site.home.journal) is None


@pytest.mark.parametrize("kills", [1, 2])
def test_a_recovery_of_a_first_start_that_fails_leaves_nothing_behind(
    site: Site, kills: int
) -> None:
    for _ in range(kills):
        cut_off_at(site, Op.READY)
    world = FakeWorld(site, live(site, "agentic"), fail_at=Op.READY)

    with pytest.raises(AnvilError, match="ready failed"):
        Transition(site, world).run("recover", "agentic")

    assert world.done[-2:] == ["down agentic", "stop router, multiplexer, guard"]


def cut_off_at(site: Site, op: Op) -> None:
    """A start from nothing, or the recovery of one, dies as it does this."""
    again = interrupted(site.home.journal) is not None
    found = live(site, "agentic") if again else NOTHING
    world = FakeWorld(site, found, fail_at=op, failure=KilledError())
    with pytest.raises(KilledError):
        Transition(site, world).run("recover" if again else "up", "agentic")


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
    before = signal.getsignal(signal.SIGINT)
    world = FakeWorld(site, live(site, "agentic"), signal_at=Op.DOWN, signals=2)

    with pytest.raises(KeyboardInterrupt):
        Transition(site, world).run("switch", "flexibility")

    assert str(interrupted(site.home.journal)) == "agentic -> flexibility"
    assert signal.getsignal(signal.SIGINT) is before
