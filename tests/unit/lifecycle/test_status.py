from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.config import Mode, Tier
from anvil_ctl.docker import Container
from anvil_ctl.lifecycle.observe import Snapshot
from anvil_ctl.lifecycle.plan import Observed, TierState
from anvil_ctl.lifecycle.status import status
from anvil_ctl.paths import Home
from anvil_ctl.site import Site
from tests.unit.clouds import cloudy
from tests.unit.definitions import cpu, renderer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Home(tmp_path), cpu(), {}, renderer(cpu()), {})


def control(name: str) -> Container:
    return Container(f"anvil-{name}-1", "i", "running", "healthy", 0, {"dev.anvil.control": name})


def engine(mode: str, tier: str, state: str, health: str | None) -> Container:
    labels = {"dev.anvil.mode": mode, "dev.anvil.tier": tier}
    return Container(f"anvil-{mode}-{tier}-1", "i", state, health, 0, labels)


def loading(_mode: Mode, _tier: Tier) -> bool:
    return False


CONTROL = tuple(control(name) for name in ("router", "multiplexer", "guard"))
FLEXIBILITY = (
    engine("flexibility", "quick", "running", "starting"),
    engine("flexibility", "long", "exited", "unhealthy"),
)


def observed(router_mode: str | None, **modes: str) -> Observed:
    tiers = {mode: {"x": TierState("running", "h")} for mode in modes}
    return Observed(tiers, "c", "r", "g", router_mode, True)  # type: ignore[arg-type]


def test_a_live_mode_shows_each_tier_and_who_is_resident(site: Site) -> None:
    found = Snapshot(
        (*CONTROL, *FLEXIBILITY), {"held": True}, {}, observed("flexibility", flexibility="")
    )

    said = status(site, found, loading)

    assert (said.mode, said.held, said.healthy) == ("flexibility", True, True)
    rows = [(tier.id, tier.state, tier.swap_group, tier.resident) for tier in said.tiers]
    assert rows == [("quick", "loading", "cpu", True), ("long", "stopped", "cpu", False)]


def test_what_sleeps_in_a_running_container_is_not_resident(site: Site) -> None:
    both = (FLEXIBILITY[0], engine("flexibility", "long", "running", "healthy"))
    role = {
        "state": "ready",
        "resident": "smollm2-135m-quick",
        "in_flight": {"smollm2-135m-quick": 2},
        "queued": {"smollm2-135m-long": 1},
        "asleep": ["smollm2-135m-long"],
        "last_error": "box exited with code 1",
    }
    world = observed("flexibility", flexibility="")
    found = Snapshot((*CONTROL, *both), {}, {"roles": {"cpu": role}}, world)

    said = status(site, found, loading)

    rows = [(tier.id, tier.state, tier.resident) for tier in said.tiers]
    assert rows == [("quick", "loading", True), ("long", "asleep", False)]
    assert said.roles == {
        "cpu": "ready with smollm2-135m-quick, 2 in flight, 1 waiting, smollm2-135m-long asleep, "
        "last error: box exited with code 1"
    }


def test_what_is_asked_for_is_told_beside_what_is_live(site: Site) -> None:
    found = Snapshot((*CONTROL, *FLEXIBILITY), {}, {}, observed("flexibility", flexibility=""))

    assert status(site, found, loading).requested == site.config.active_mode
    assert status(site, found, loading, "flexibility").requested == "flexibility"


def test_a_router_that_serves_another_mode_is_said_with_what_to_type(site: Site) -> None:
    found = Snapshot((*CONTROL, *FLEXIBILITY), {}, {}, observed("agentic", flexibility=""))

    said = status(site, found, loading)

    assert not said.healthy
    assert said.disagreement is not None
    assert said.disagreement.endswith("anvil-ctl up --mode flexibility")


def test_two_modes_at_once_are_no_live_mode(site: Site) -> None:
    found = Snapshot(CONTROL, {}, {}, observed("agentic", flexibility="", agentic=""))

    said = status(site, found, loading)

    assert said.mode is None
    assert "anvil-ctl recover" in str(said.disagreement)


def test_nothing_at_all_is_no_disagreement(site: Site) -> None:
    said = status(site, Snapshot((), None, None, Observed({}, None, None, None, None)), loading)

    assert (said.mode, said.disagreement, said.tiers) == (None, None, ())
    assert set(said.control.values()) == {"absent"}


def test_a_cloud_is_shown_by_what_is_known_without_asking_it(tmp_path: Path) -> None:
    closed = {"id": "sonnet", "circuit": "closed"}
    rows: list[dict[str, object] | None] = [
        {"tiers": [closed]},
        {"tiers": [{**closed, "circuit": "open"}]},
        {"tiers": []},
        None,
    ]

    def states(**secrets: str) -> list[str]:
        site = Site(Home(tmp_path), cloudy(), secrets, renderer(cloudy()), {})
        looks = [Snapshot(CONTROL, row, {}, observed("agentic", agentic="")) for row in rows]
        return [status(site, look, loading).clouds[0].state for look in looks]

    assert states(SONNET_KEY="k") == [
        "ready",
        "left alone for now: it failed",
        "not in the router yet: anvil-ctl up",
        "the router does not run",
    ]
    assert states() == [f"no key: SONNET_KEY is not set in {tmp_path / '.env'}"] * 4
    plain = status(
        Site(Home(tmp_path), cpu(), {}, renderer(cpu()), {}),
        Snapshot(CONTROL, {}, {}, observed("agentic", agentic="")),
        loading,
    )
    assert (plain.clouds, plain.metered_cloud) == ((), ())
