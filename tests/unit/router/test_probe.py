"""What the router looks at beside the requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.router import config as configs
from anvil_ctl.router.experience import Experience
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.probe import Probe
from anvil_ctl.router.profile.keeper import open_profile
from anvil_ctl.router.profile.row import Verdict
from tests.unit.router import doubles

MODELS = {"object": "list", "data": [{"id": "other"}]}


def probing(folder: Path, *tiers: str, multiplexer: str = "", keys: str = "") -> Probe:
    keys += "[router.policy]\nresidency = true\n"
    text = doubles.config(*tiers, multiplexer=multiplexer, router_keys=keys)
    (folder / "r.toml").write_text(text)
    config = configs.load(folder / "r.toml")
    return Probe(config, Experience(config), open_profile(config))


async def test_the_multiplexer_says_what_is_loaded_and_is_asked_once_in_two_seconds(
    tmp_path: Path,
) -> None:
    health = {"roles": {"gpu": {"resident": "b-model"}, "cpu": {"resident": None}, "odd": 1}}
    async with doubles.double(doubles.answers(health)) as multiplexer:
        tiers = [doubles.tier(name, "http://127.0.0.1:9", swap_group="gpu") for name in "ab"]
        probe = probing(tmp_path, *tiers, multiplexer=multiplexer.url)
        for _ in range(3):
            probe.look()
        await probe.settled()

        assert probe._experience.now(frozenset(), None).residents == {"gpu": "b"}
        assert [seen.path for seen in multiplexer.seen] == ["/healthz"]


@pytest.mark.parametrize("body", [[], {}, {"roles": 3}, "x"])
async def test_a_multiplexer_that_says_nonsense_or_nothing_changes_nothing(
    tmp_path: Path, body: object
) -> None:
    async with doubles.double(doubles.answers(body)) as multiplexer:
        tier = doubles.tier("a", "http://127.0.0.1:9", swap_group="gpu")
        probe = probing(tmp_path, tier, multiplexer=multiplexer.url)
        probe.look()
        await probe.settled()

        assert probe._experience.now(frozenset(), None).residents == {}


async def test_an_engine_that_serves_another_model_puts_its_rows_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIER_KEY", "secret")
    async with doubles.double(doubles.answers(MODELS)) as engine:
        keys = "probe_interval = 60\n"
        probe = probing(tmp_path, doubles.tier("a", engine.url), keys=keys)
        profile = probe._keeper.profile
        profile.grade("a", Work.CHAT, 0.9, local=True, verdict=Verdict.ALLOW)
        probe._keeper.refresh()
        for _ in range(3):
            probe.look()
        await probe.settled()

        assert profile.stale() == [("a", Work.CHAT)]
        assert [(s.path, s.headers["authorization"]) for s in engine.seen] == [
            ("/v1/models", "Bearer secret")
        ]


async def test_nobody_is_looked_at_where_nothing_is_to_be_seen(tmp_path: Path) -> None:
    async with doubles.double(doubles.answers(MODELS)) as engine:
        probe = probing(tmp_path, doubles.tier("a", engine.url))
        probe.look()
        await probe.settled()

        assert engine.seen == []
