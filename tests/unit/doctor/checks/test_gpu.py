from __future__ import annotations

from dataclasses import replace

from anvil_ctl.docker_look import Seen
from anvil_ctl.doctor.checks.gpu import uses
from anvil_ctl.doctor.survey import Deep, Survey, Unknown
from anvil_ctl.hardware import Card, Cards
from tests.unit.definitions import FAST, HEAVY
from tests.unit.doctor.surveys import (
    BLACKWELL,
    GEFORCE,
    found,
    healthy,
    reference,
    with_container,
    wrong,
)

ABSENT = HEAVY[:-1] + "f"


def with_cards(survey: Survey, *cards: Card) -> Survey:
    return replace(survey, cards=Cards(cards, "nvidia-smi"))


def messages(survey: Survey, check: str) -> list[str]:
    return [each.observed for each in found(survey, check) if not each.ok]


def test_a_card_that_is_not_here_names_those_that_are() -> None:
    (said,) = [each for each in found(reference(HEAVY, ABSENT), "D10") if each.blocks]

    assert f"role heavy: no card {ABSENT}; seen: " in said.observed
    assert "RTX PRO 6000" in said.observed
    assert said.remedy == f"anvil-ctl config set machine.roles.heavy.gpu_uuid {HEAVY}"


def test_without_a_driver_cards_are_unknown_and_not_absent() -> None:
    none = replace(reference(), cards=Cards())
    broken = replace(reference(), cards=Cards(tool="nvidia-smi", problem="driver mismatch"))

    assert wrong(none, "D10") == wrong(broken, "D10") == [("D10", "unknown")]
    assert "driver mismatch" in messages(broken, "D10")[0]


def test_only_the_cards_that_the_mode_uses_are_looked_at() -> None:
    assert found(healthy(), "D10") == []


def test_a_card_with_less_memory_than_declared_is_refused() -> None:
    survey = with_cards(reference(), replace(BLACKWELL, memory_mib=48000), GEFORCE)

    assert messages(survey, "D12")[-1].endswith("memory_mib is 97887, and RTX PRO 6000 has 48000")


def test_another_compute_capability_than_declared_is_refused() -> None:
    survey = with_cards(reference(), replace(BLACKWELL, compute_capability="8.9"), GEFORCE)
    (said,) = [each for each in found(survey, "D13") if each.blocks]

    assert said.remedy == "anvil-ctl config set machine.roles.heavy.compute_capability 8.9"


def test_a_container_that_runs_without_its_pin_is_found() -> None:
    survey = with_container(reference(), "heavy-local-1", environment={"CUDA_VISIBLE_DEVICES": "0"})

    assert messages(survey, "D14") == [
        "tier heavy-local runs with CUDA_VISIBLE_DEVICES=0, CUDA_DEVICE_ORDER="
    ]


def test_the_effective_pin_is_what_cuda_offers() -> None:
    right = {"heavy-local": (HEAVY.upper(),), "fast-local": (FAST,)}
    both = {"heavy-local": (HEAVY, FAST), "fast-local": (FAST,)}
    silent: dict[str, tuple[str, ...] | Unknown] = {
        "heavy-local": Unknown("CUDA could not be asked"),
        "fast-local": (FAST,),
    }

    assert wrong(replace(reference(), deep=Deep(pins=right)), "D15") == []
    assert wrong(replace(reference(), deep=Deep(pins=both)), "D15") == [("D15", "fail")]
    assert wrong(replace(reference(), deep=Deep(pins=silent)), "D15") == [("D15", "unknown")]


def test_what_our_engines_hold_is_not_someone_elses() -> None:
    survey = with_cards(reference(), replace(BLACKWELL, used_mib=94000), GEFORCE)

    assert wrong(survey, "D16") == []


def test_use_that_leaves_no_room_is_refused_and_names_who_may_have_it() -> None:
    idle = replace(
        reference(), containers=(Seen("notebook", "jupyter", "running", devices=("all",)),)
    )
    (said,) = [
        each
        for each in found(with_cards(idle, replace(BLACKWELL, used_mib=30000), GEFORCE), "D16")
        if each.blocks
    ]

    assert said.observed.startswith("role heavy: 30000 MiB of RTX PRO 6000")
    assert "notebook" in said.observed
    assert said.remedy == "docker stop notebook"


def test_more_use_than_the_reserve_is_a_warning() -> None:
    text = "vram_mib = 94208", "vram_mib = 90000"
    survey = with_cards(reference(*text), replace(BLACKWELL, used_mib=95000), GEFORCE)

    assert wrong(survey, "D16") == [("D16", "warn")]


def test_a_container_uses_a_card_by_pin_by_reservation_or_because_it_has_all() -> None:
    pinned = Seen(
        "a", "i", "running", environment={"CUDA_VISIBLE_DEVICES": HEAVY}, devices=("all",)
    )

    assert uses(pinned, HEAVY)
    assert not uses(pinned, FAST)
    assert uses(Seen("b", "i", "running", devices=(FAST,)), FAST)
    assert uses(Seen("c", "i", "running", devices=("all",)), FAST)
    assert not uses(Seen("d", "i", "running"), FAST)


def test_a_driver_that_is_too_old_for_the_images_is_refused() -> None:
    old = replace(GEFORCE, driver="570.124.06")
    (said,) = found(with_cards(reference(), old, BLACKWELL), "D17")

    assert (said.blocks, said.observed) == (True, "driver 570.124.06")
    assert said.expected.startswith("580 or newer")


def test_a_display_that_the_role_does_not_know_of_is_a_warning() -> None:
    survey = with_cards(reference(), replace(BLACKWELL, display=True), GEFORCE)

    assert wrong(survey, "D18") == [("D18", "warn")]


def test_a_plan_for_another_machine_only_warns_of_its_cards() -> None:
    plan = reference("[machine]\n", "[machine]\nplan_only = true\n")
    bare = replace(plan, cards=Cards())

    assert wrong(bare, "D10") == [("D10", "warn")] * 2
    assert wrong(bare, "D16", "D17", "D18") == []
