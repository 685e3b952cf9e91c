from __future__ import annotations

from dataclasses import replace

import pytest

from anvil_ctl.config import Mode
from anvil_ctl.doctor.checks import CHECKS, GROUPS
from anvil_ctl.doctor.finding import Status, fail, warn
from anvil_ctl.doctor.report import Report, choose, examine, looks
from anvil_ctl.doctor.survey import Look, Unknown
from anvil_ctl.errors import ConfigError, UsageError
from tests.unit.definitions import cpu_text, fakoli_dark_text
from tests.unit.doctor.surveys import found, healthy, wrong

_GRAVITY = [Status.OK, Status.UNKNOWN, Status.INFO, Status.WARN, Status.FAIL]


def test_ids_are_in_order_and_given_once() -> None:
    ids = [check.id for check in CHECKS]

    assert ids == sorted(set(ids))
    assert (ids[0], ids[-1]) == ("D01", "D71")


@pytest.mark.parametrize("mode", ["agentic", "flexibility"])
def test_nothing_is_wrong_with_a_healthy_stack(mode: Mode) -> None:
    assert wrong(healthy(cpu_text(), mode)) == []


@pytest.mark.parametrize("mode", ["agentic", "flexibility"])
def test_the_reference_machine_has_only_what_its_rules_warn_of_and_unlocked_images(
    mode: Mode,
) -> None:
    findings = [each for each in found(healthy(fakoli_dark_text("wsl2"), mode)) if not each.ok]

    assert {each.status for each in findings} == {Status.WARN, Status.UNKNOWN}
    warned = [each for each in findings if each.status is Status.WARN]
    # No digest of a published image is known before `images lock`.
    assert all(each.rule for each in warned if each.id != "D60")
    assert [each.id for each in findings if each.status is Status.UNKNOWN] == ["D15"]


def test_no_check_finds_worse_than_it_says() -> None:
    broken = [
        healthy(),
        replace(healthy(), daemon=Unknown("gone"), containers=Unknown("gone")),
        replace(healthy(fakoli_dark_text("linux")), images={}, volumes={}, containers=()),
    ]
    worst = {check.id: check.worst for check in CHECKS}

    for survey in broken:
        for each in found(survey):
            assert _GRAVITY.index(each.status) <= _GRAVITY.index(worst[each.id]), each


def test_a_daemon_that_does_not_answer_is_one_failure_and_one_line_of_what_is_not_known() -> None:
    gone = Unknown("the Docker daemon does not answer (see D01)")
    down = replace(
        healthy(),
        daemon=Unknown("permission denied", "sudo usermod -aG docker $USER, then log in again"),
        containers=gone,
        images=gone,
        volumes=gone,
        store=gone,
        router=gone,
        multiplexer=gone,
        engines=gone,
        logs=gone,
    )
    report = Report(examine(down, CHECKS))
    lines = list(report.lines())

    assert [line for line in lines if line.startswith("no")] == [
        "no   D01 permission denied. next: sudo usermod -aG docker $USER, then log in again"
    ]
    unknown = [line for line in lines if line.startswith("??")]
    assert len(unknown) == 1
    assert "see D01" in unknown[0]
    assert " D43 " in unknown[0]
    assert report.next_step.startswith("sudo usermod")


def test_a_definition_that_cannot_be_read_is_one_failure() -> None:
    error = ConfigError("/a/anvil.toml: machine.rolez: unknown key", hint="edit that key")
    report = Report(examine(replace(healthy(), definition=error), CHECKS))

    assert [each.id for each in report.findings if each.blocks] == ["D20"]
    assert report.next_step == "edit that key"


def test_the_summary_counts_and_names_the_gravest_step() -> None:
    report = Report(
        (
            replace(warn("slow", "fast", "wait"), id="D06"),
            replace(fail("no", "yes", "mend"), id="D50"),
        )
    )

    assert report.summary() == "1 fail, 1 warn; next: mend"
    assert not report.good


def test_a_warning_counts_only_where_it_is_asked_for() -> None:
    findings = (replace(warn("slow", "fast", "wait"), id="D06"),)

    assert Report(findings).good
    assert not Report(findings, strict=True).good


def test_what_is_right_is_one_line_a_group_or_all_of_it() -> None:
    report = Report(tuple(found(healthy())))

    assert len(list(report.lines())) == len(GROUPS)
    assert len(list(report.lines(every=True))) == len(report.findings)


def test_the_json_form_has_every_finding_with_its_title() -> None:
    said = Report(tuple(found(healthy(), "D01"))).as_json("agentic")

    assert said == {
        "ok": True,
        "mode": "agentic",
        "counts": {"fail": 0, "warn": 0, "unknown": 0, "info": 0, "ok": 1},
        "next": "",
        "checks": [
            {
                "id": "D01",
                "group": "platform",
                "title": "the Docker daemon answers",
                "status": "ok",
                "observed": "Docker Engine 28.5 answers",
                "expected": "",
                "remedy": "",
                "rule": "",
            }
        ],
    }


def test_checks_are_chosen_by_id_and_need_no_more_than_their_part_of_a_look() -> None:
    assert [check.id for check in choose(["d43", "D10"])] == ["D10", "D43"]
    assert looks(choose(["D10"])) == {Look.CARDS}
    assert choose([]) == list(CHECKS)
    with pytest.raises(UsageError, match="'D99' is no check"):
        choose(["D99"])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_says_which_parts_of_a_look_it_needs(check: object) -> None:
    """With only those parts, it finds the same as with all of them."""
    chosen = choose([check.id])  # type: ignore[attr-defined]
    survey = healthy(fakoli_dark_text("linux"))
    parts = {
        Look.COMPOSE: ("compose", "refused"),
        Look.CONTAINERS: ("containers",),
        Look.IMAGES: ("images",),
        Look.VOLUMES: ("volumes", "store"),
        Look.CARDS: ("cards",),
        Look.PORTS: ("taken_ports",),
        Look.ENDPOINTS: ("router", "multiplexer", "engines"),
        Look.LOGS: ("logs",),
    }
    missing = [name for look, names in parts.items() if look not in looks(chosen) for name in names]
    less = replace(survey, **dict.fromkeys(missing, Unknown("not looked at")))  # type: ignore[arg-type]

    assert examine(less, chosen) == examine(survey, chosen)
