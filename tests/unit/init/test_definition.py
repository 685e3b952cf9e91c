from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from anvil_ctl import config
from anvil_ctl.config.change import change
from anvil_ctl.errors import ConfigError
from anvil_ctl.hardware import Cards, Host
from anvil_ctl.init import (
    Asked,
    Choices,
    Gpu,
    Proposal,
    SiteTemplate,
    Texts,
    propose,
    read_sites,
    render_site,
    write_definition,
)
from anvil_ctl.paths import Home, bundle
from tests.unit.definitions import FAST, HEAVY, renderer, whole

SITES = read_sites(bundle() / "templates")
ELSEWHERE = propose(SITES, Cards(), Host("linux", "6.12"), Asked(site="fakoli-dark"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def texts(proposed: Proposal = ELSEWHERE, chosen: Choices | None = None) -> Texts:
    return render_site(proposed, chosen or Choices(), "gguf/x.gguf")


def text(proposed: Proposal = ELSEWHERE, chosen: Choices | None = None) -> str:
    return whole(texts(proposed, chosen))


def test_a_plan_for_another_machine_says_so_in_the_definition() -> None:
    machine = tomllib.loads(text())["machine"]

    assert machine["plan_only"] is True
    assert machine["ram_mib"] == 65536
    assert "plan_only" not in text(replace(ELSEWHERE, plan_only=False))


def test_ram_that_nobody_knows_is_not_written() -> None:
    assert "ram_mib" not in tomllib.loads(text(replace(ELSEWHERE, ram_mib=None)))["machine"]


def test_what_was_chosen_is_written() -> None:
    chosen = Choices("mine", 9000, 31000, "weights")
    found = tomllib.loads(text(chosen=chosen))

    assert found["machine"]["project"] == "mine"
    assert found["machine"]["multiplexer_admin_port"] == 9003
    assert found["machine"]["models_volume"] == "weights"
    assert found["modes"]["agentic"]["tiers"][0]["port"] == 31000


def test_a_definition_that_is_there_stays_unless_it_is_to_be_replaced(home: Home) -> None:
    first = write_definition(home, texts())
    other = texts(chosen=Choices(port=9000))

    assert [(each.path.name, each.changed, each.copy) for each in first] == [
        ("agentic.toml", True, None),
        ("anvil.toml", True, None),
    ]
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert [each.changed for each in write_definition(home, other)] == [False]
    assert [each.changed for each in write_definition(home, texts(), force=True)] == [False, False]

    agentic, forced = write_definition(home, other, force=True)
    assert not agentic.changed
    assert forced.copy == home.root / "anvil.toml.bak.1"
    assert forced.copy.read_text(encoding="utf-8") == texts().main
    assert home.config.read_text(encoding="utf-8") == other.main


def test_the_proven_mode_has_a_file_that_no_edit_of_the_other_touches(home: Home) -> None:
    write_definition(home, texts())
    own = home.root / "agentic.toml"
    before = own.read_text(encoding="utf-8")

    change(home.config, "modes.flexibility.tiers.flex-qwen36-27b.slots", "3", {})

    assert own.read_text(encoding="utf-8") == before
    assert [tier.id for tier in config.load(home.config, {}).modes["agentic"].tiers] == [
        "heavy-local",
        "fast-local",
    ]
    change(home.config, "modes.agentic.tiers.heavy-local.slots", "8", {})
    assert own.read_text(encoding="utf-8") == before.replace("slots = 16", "slots = 8", 1)


def test_a_definition_that_is_not_valid_is_not_written(home: Home) -> None:
    same = {"heavy": ELSEWHERE.gpus["heavy"], "fast": ELSEWHERE.gpus["heavy"]}

    with pytest.raises(ConfigError, match="have the same gpu_uuid"):
        write_definition(home, texts(replace(ELSEWHERE, gpus=same)))

    assert not home.root.exists()


@pytest.mark.parametrize(
    ("site", "memory"),
    [
        ("single-gpu", [(22656, True)]),
        ("single-gpu", [(20480, False)]),
        ("single-gpu", [(32607, True)]),
        ("single-gpu", [(97887, False)]),
        ("two-gpus", [(24564, True), (24564, False)]),
        ("two-gpus", [(49140, False), (24564, True)]),
        ("two-gpus", [(143771, False), (143771, False)]),
        ("fakoli-dark", [(97887, True), (32607, False)]),
        ("fakoli-dark", [(143771, False), (97887, True)]),
    ],
)
def test_a_site_fits_every_card_that_is_large_enough_for_it(
    site: str, memory: list[tuple[int, bool]]
) -> None:
    """Whichever card has the desktop: no rule and no ledger refuses what init writes."""
    names = dict(zip(SITES[site].roles, zip([HEAVY, FAST], memory, strict=False), strict=False))
    gpus = {role: Gpu(uuid, mib, "12.0", display) for role, (uuid, (mib, display)) in names.items()}
    written = text(proposal(SITES[site], gpus))
    found = renderer(config.parse(written, Path("anvil.toml")))

    for mode in found.config.modes:
        assert found.mode(mode).compose
        assert found.ledger(mode).problems == []
        assert [str(each) for each in found.verdicts(mode) if each.kind == "deny"] == []


def test_a_card_is_described_by_what_is_known_of_its_display() -> None:
    found = {
        shown: re.sub(r"\s+", " ", text(proposal(SITES["single-gpu"], {"gpu": gpu})))
        for shown, gpu in {
            "plain": Gpu(HEAVY, 97887, "12.0", False, "RTX"),
            "desktop": Gpu(HEAVY, 97887, "12.0", True, "RTX"),
            "unknown": Gpu(HEAVY, 97887, "12.0"),
        }.items()
    }

    assert "# RTX. No display is on it." in found["plain"]
    assert "display = true" not in found["plain"]
    assert "# RTX. The desktop is on it" in found["desktop"]
    assert "# The reserve is for a desktop; a machine without one can lower it." in found["unknown"]


def proposal(site: SiteTemplate, gpus: dict[str, Gpu]) -> Proposal:
    return Proposal(site, "", gpus, "linux", None, plan_only=False)
