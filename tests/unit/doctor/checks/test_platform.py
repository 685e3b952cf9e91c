from __future__ import annotations

from dataclasses import replace

import pytest

from anvil_ctl.doctor.survey import Daemon, Deep, Survey, Unknown
from anvil_ctl.hardware import Host
from tests.unit.definitions import FAST, HEAVY
from tests.unit.doctor.surveys import found, healthy, reference, wrong

GIB = 1 << 30


def with_daemon(survey: Survey, daemon: Daemon) -> Survey:
    return replace(survey, daemon=daemon)


def test_a_compose_that_is_too_old_says_how_to_get_another() -> None:
    (said,) = found(replace(healthy(), compose=(2, 17, 3)), "D02")

    assert (said.blocks, said.observed) == (True, "Docker Compose: 2.17.3")
    assert said.remedy == "pip install 'anvil-ctl[compose]'"


def test_an_engine_that_lists_no_nvidia_runtime_is_a_warning_until_it_is_tried() -> None:
    plain = with_daemon(reference(), Daemon("28.5", frozenset({"runc"})))
    proved = replace(plain, deep=Deep(cards={HEAVY: "", FAST: ""}))
    failed = replace(plain, deep=Deep(cards={HEAVY: "", FAST: "unknown device"}))

    assert wrong(plain, "D03") == [("D03", "warn")]
    assert wrong(proved, "D03") == []
    assert wrong(failed, "D03") == [("D03", "fail")]


def test_a_machine_without_cards_needs_no_nvidia_runtime() -> None:
    assert found(healthy(), "D03") == []


@pytest.mark.parametrize(
    ("version", "status"), [((2, 6, 2), "warn"), ((2, 7, 10), "ok"), (None, "unknown")]
)
def test_wsl_is_looked_at_under_wsl_alone(version: tuple[int, ...] | None, status: str) -> None:
    host = Host("wsl2", "6.6-microsoft", version)
    survey = replace(healthy(), station=replace(healthy().station, hardware=host))

    assert [str(each.status) for each in found(survey, "D04")] == [status]
    assert found(healthy(), "D04") == []


def test_models_that_hold_more_memory_than_there_is_are_refused() -> None:
    survey = reference(
        "memory = {weights_mib = 21744", 'memory = {loader = "copy", weights_mib = 21744'
    )
    small = with_daemon(survey, Daemon("28.5", memory=16 * GIB))

    assert wrong(survey, "D05") == []
    assert wrong(small, "D05") == [("D05", "fail")]


def test_ram_that_is_declared_and_not_there_is_a_warning() -> None:
    survey = reference("[machine.roles.heavy]", "ram_mib = 98304\n[machine.roles.heavy]")
    (said,) = (each for each in found(survey, "D05") if not each.ok)

    assert str(said.status) == "warn"
    assert said.remedy == "anvil-ctl config set machine.ram_mib 65536"


def test_an_engine_that_does_not_say_its_memory_leaves_it_unknown() -> None:
    assert wrong(with_daemon(healthy(), Daemon("28.5")), "D05") == [("D05", "unknown")]


def test_a_large_page_cache_is_said_under_wsl_alone() -> None:
    station = replace(healthy().station, page_cache=50 * GIB)
    under = replace(station, hardware=Host("wsl2", "6.6-microsoft", (2, 7, 10)))

    assert found(replace(healthy(), station=station), "D06") == []
    assert wrong(replace(healthy(), station=under), "D06") == [("D06", "warn")]


def test_images_that_compile_need_more_room() -> None:
    daemon = Daemon("28.5", memory=64 * GIB, root="/data", root_free=3 * GIB)

    assert wrong(with_daemon(healthy(), daemon), "D07") == []
    assert wrong(with_daemon(reference(), daemon), "D07") == [("D07", "warn")]
    assert wrong(with_daemon(healthy(), replace(daemon, root_free=None)), "D07") == [
        ("D07", "unknown")
    ]


def test_a_late_clock_and_a_poor_console_are_worth_saying() -> None:
    late = with_daemon(healthy(), Daemon("28.5", skew_s=-400))
    poor = replace(healthy(), station=replace(healthy().station, encoding="cp1252"))

    assert found(late, "D08")[0].observed == "the engine's clock is -400 s from this one's"
    assert wrong(late, "D08") == wrong(poor, "D08") == [("D08", "info")]


@pytest.mark.parametrize(
    "changes", [{"version": "0.2.0", "installed_version": "0.1.0"}, {"temporary": True}]
)
def test_a_copy_that_is_not_the_installation_is_said(changes: dict[str, object]) -> None:
    station = replace(healthy().station, **changes)  # type: ignore[arg-type]

    assert wrong(replace(healthy(), station=station), "D09") == [("D09", "warn")]


def test_a_plan_for_another_machine_is_not_measured_against_this_one() -> None:
    plan = reference("[machine]\n", "[machine]\nplan_only = true\n")
    bare = with_daemon(plan, Daemon("28.5", memory=1 * GIB))

    assert wrong(bare, "D03", "D05") == []
    assert isinstance(bare.deep, Unknown)
