from __future__ import annotations

import itertools

import pytest

from anvil_ctl.errors import AnvilError, UsageError
from anvil_ctl.hardware import Card, Cards, Host
from anvil_ctl.init import Asked, Gpu, Proposal, propose, read_sites
from anvil_ctl.paths import bundle
from tests.unit.definitions import FAST, HEAVY

SITES = read_sites(bundle() / "templates")
LINUX = Host("linux", "6.12", ram_mib=96000)
WSL2 = Host("wsl2", "6.6-microsoft-standard-WSL2", ram_mib=64000)
PRO_6000 = Card(1, HEAVY, "RTX PRO 6000", 97887, 4, "12.0", display=False, driver="580")
RTX_5090 = Card(0, FAST, "RTX 5090", 32607, 1800, "12.0", display=True, driver="580")
TOOL = "/usr/bin/nvidia-smi"
BROKEN = Cards(tool=TOOL, problem="Failed to initialize NVML: Driver/library version mismatch")
REFERENCE = SITES["fakoli-dark"].facts.reference


def card(last: str, memory: int | None, capability: str | None = "8.9") -> Card:
    uuid = f"{HEAVY[:-1]}{last}"
    return Card(0, uuid, f"card {last}", memory, 0, capability, display=False, driver="580")


def proposed(
    cards: tuple[Card, ...] | Cards, asked: Asked | None = None, host: Host = LINUX
) -> Proposal:
    found = cards if isinstance(cards, Cards) else Cards(cards, TOOL)
    return propose(SITES, found, host, asked or Asked())


def uuids(found: Proposal) -> dict[str, str]:
    return {role: gpu.uuid for role, gpu in found.gpus.items()}


def test_the_larger_card_is_heavy_in_whatever_order_they_come() -> None:
    for cards in itertools.permutations([PRO_6000, RTX_5090]):
        found = proposed(cards)

        assert found.site.name == "fakoli-dark"
        assert uuids(found) == {"heavy": HEAVY, "fast": FAST}
        assert "heavy is RTX PRO 6000, 97887 MiB" in found.why
        assert "fast is RTX 5090, 32607 MiB, with a display" in found.why


def test_equal_cards_are_told_apart_by_uuid() -> None:
    cards = [card(each, 24564) for each in "cab"]

    for order in itertools.permutations(cards):
        found = proposed(order)
        assert [each[-1] for each in uuids(found).values()] == ["a", "b"]
        assert found.notes == (f"not used: card c, 24564 MiB ({HEAVY[:-1]}c)",)


@pytest.mark.parametrize(
    ("cards", "site"),
    [
        ((), "cpu"),
        ((RTX_5090,), "single-gpu"),
        ((card("a", 24564),), "single-gpu"),
        ((card("a", 24564), card("b", 24564)), "two-gpus"),
        ((PRO_6000, RTX_5090), "fakoli-dark"),
        ((card("a", 143771, "9.0"), card("b", 143771, "9.0")), "two-gpus"),
        ((PRO_6000, card("b", 8192)), "single-gpu"),
        ((card("a", 8192),), "cpu"),
        ((card("a", 24576, "6.1"),), "cpu"),
        ((card("a", None),), "cpu"),
    ],
)
def test_the_site_is_the_most_demanding_that_the_cards_can_hold(
    cards: tuple[Card, ...], site: str
) -> None:
    found = proposed(cards)

    assert found.site.name == site
    assert not found.plan_only


def test_a_site_without_a_card_says_whether_there_is_none_or_none_that_will_do() -> None:
    assert proposed(Cards()).why == "no nvidia-smi: this machine has no NVIDIA driver"
    assert proposed(()).why == "nvidia-smi finds no card"
    assert "no card has 18000 MiB beside its reserve" in proposed((card("a", 8192),)).why


def test_a_driver_that_fails_is_never_taken_for_no_card() -> None:
    for site in (None, "single-gpu", "fakoli-dark"):
        with pytest.raises(AnvilError, match="library version mismatch") as raised:
            proposed(BROKEN, Asked(site))
        assert "see that nvidia-smi works" in raised.value.hint

    assert proposed(BROKEN, Asked("cpu")).site.name == "cpu"


def test_cards_that_were_named_need_no_driver_that_works() -> None:
    found = proposed(BROKEN, Asked("single-gpu", gpus={"gpu": Gpu(HEAVY, 24564, "8.9")}))

    assert not found.plan_only
    assert "is not known: nvidia-smi failed" in found.notes[0]


def test_what_the_machine_is_is_written_down() -> None:
    found = proposed((RTX_5090,), host=WSL2)

    assert (found.platform, found.ram_mib) == ("wsl2", 64000)
    assert found.gpus["gpu"] == Gpu(FAST, 32607, "12.0", True, "RTX 5090")


def test_what_the_user_says_wins_over_what_is_found() -> None:
    found = proposed((PRO_6000, RTX_5090), Asked("single-gpu", "wsl2", {"gpu": Gpu(FAST, 30000)}))

    assert (found.site.name, found.platform) == ("single-gpu", "wsl2")
    assert found.gpus["gpu"] == Gpu(FAST, 30000, "12.0", True, "RTX 5090")
    assert not found.plan_only


def test_one_card_named_leaves_the_other_to_be_found() -> None:
    found = proposed((PRO_6000, RTX_5090), Asked("two-gpus", gpus={"heavy": Gpu(FAST)}))

    assert uuids(found) == {"heavy": FAST, "fast": HEAVY}


@pytest.mark.parametrize("cards", [Cards(), Cards(tool=TOOL), Cards((RTX_5090,), TOOL)])
def test_the_named_site_is_planned_for_where_its_cards_are_not(cards: Cards) -> None:
    found = proposed(cards, Asked("fakoli-dark"))

    assert REFERENCE is not None
    assert found.plan_only
    assert uuids(found) == {role: each.uuid for role, each in REFERENCE.cards.items()}
    assert (found.platform, found.ram_mib) == ("wsl2", 65536)
    assert found.notes[0].startswith("not in this machine: GPU-d0f446cf-")


def test_cards_as_large_as_the_named_sites_take_their_place() -> None:
    found = proposed((PRO_6000, RTX_5090), Asked("fakoli-dark"))

    assert not found.plan_only
    assert uuids(found) == {"heavy": HEAVY, "fast": FAST}
    assert found.ram_mib == 96000


def test_a_site_of_no_one_in_particular_has_no_cards_of_its_own() -> None:
    for site, said in (("single-gpu", "gpu"), ("two-gpus", "heavy")):
        with pytest.raises(UsageError, match=f"--gpu {said}=UUID,MIB,CAPABILITY") as raised:
            proposed(Cards(), Asked(site))
        assert raised.value.hint.startswith("nvidia-smi ")


def test_the_reference_machine_lends_no_card_to_one_that_was_named() -> None:
    with pytest.raises(UsageError, match="'fakoli-dark' needs --gpu fast="):
        proposed(Cards(), Asked("fakoli-dark", gpus={"heavy": Gpu(HEAVY)}))


def test_a_plan_with_cards_of_ones_own_says_what_it_will_run_on() -> None:
    gpus = {"gpu": Gpu(HEAVY, 24564, "8.9")}

    with pytest.raises(UsageError, match="needs --platform linux or --platform wsl2"):
        proposed(Cards(), Asked("single-gpu", gpus=gpus))

    found = proposed(Cards(), Asked("single-gpu", "linux", gpus))
    assert found.plan_only
    assert found.ram_mib is None


@pytest.mark.parametrize(
    ("site", "gpus", "said"),
    [
        ("fakoli-dark", {"main": Gpu(HEAVY)}, "has no GPU 'main'; it has: heavy, fast"),
        ("cpu", {"heavy": Gpu(HEAVY)}, "has no GPU 'heavy'; it has: none"),
        ("moon", {}, "'moon' is not a site; sites: cpu, fakoli-dark, single-gpu, two-gpus"),
        ("two-gpu", {}, "did you mean 'two-gpus'"),
        (None, {"heavy": Gpu(HEAVY)}, "--gpu names a card of a site"),
    ],
)
def test_what_does_not_go_together_says_what_there_is(
    site: str | None, gpus: dict[str, Gpu], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        proposed((), Asked(site, gpus=gpus))


def test_a_named_site_on_a_card_that_is_small_for_it_is_written_with_a_warning() -> None:
    found = proposed((card("a", 12288),), Asked("single-gpu"))

    assert not found.plan_only
    assert "gpu has 10240 MiB beside its reserve" in found.notes[0]
    assert "want 18000 and 8.0" in found.notes[0]
