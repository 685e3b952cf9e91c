"""A plan that was printed: it says why the verb would not begin, and is held to."""

from __future__ import annotations

import json

import pytest

from anvil_ctl.errors import GateError
from anvil_ctl.lifecycle.transition import Transition
from anvil_ctl.site import Site
from tests.unit.lifecycle.world import FakeWorld, live


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
