"""What the doctor says of a definition, before Docker is asked anything about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from anvil_ctl.doctor import checks
from anvil_ctl.doctor.finding import Finding, Severity
from anvil_ctl.paths import Home
from anvil_ctl.rulebook import Rulebook
from anvil_ctl.site import Site
from tests.unit.definitions import fakoli_dark_text, parse, renderer


def site(before: str = "", after: str = "") -> Site:
    text = fakoli_dark_text("linux")
    assert before in text
    found = renderer(parse(text.replace(before, after, 1)))
    return Site(Home(Path("/nowhere")), found.config, {}, found, {})


def ids(findings: list[Finding]) -> list[tuple[str, bool]]:
    return [(each.id, each.ok) for each in findings]


def test_rules_that_warn_are_findings_that_do_not_block() -> None:
    findings = list(checks._rules(site(), "agentic"))

    assert ids(findings) == [("K22", False), ("sglang-32459", False), ("rules", True)]
    assert not any(each.blocks for each in findings)


def test_a_rule_that_refuses_blocks_with_its_remedy_and_its_source() -> None:
    found = list(checks._rules(site('"--async-scheduling"', '"--enforce-eager"'), "flexibility"))
    denied = [each for each in found if each.blocks]

    assert [each.id for each in denied] == ["K15"]
    assert denied[0].remedy == "take it out of extra_args"
    assert "rules" not in [each.id for each in found]


def test_a_rule_past_its_day_is_to_be_reviewed() -> None:
    found = site()
    old = tuple(each.model_copy(update={"review_by": date(2020, 1, 1)}) for each in found.renderer.rulebook.common[:1])  # fmt: skip
    late = replace(found, renderer=replace(found.renderer, rulebook=Rulebook(old, {})))

    first = next(checks._rules(late, "agentic"))

    assert (first.id, first.ok, first.severity) == ("rules", False, Severity.WARNING)
    assert first.observed == f"rules to review again: {old[0].id}"


def test_each_card_and_the_ram_have_a_finding_with_the_numbers() -> None:
    findings = list(checks._capacity(site(), "agentic"))

    assert ids(findings) == [("capacity", True)] * 3
    assert str(findings[0]) == "role heavy: 94208 MiB and a reserve of 2048 of 97887, 1631 left"


def test_a_card_that_is_over_committed_blocks() -> None:
    findings = list(checks._capacity(site("vram_mib = 27999", "vram_mib = 31000"), "agentic"))

    assert ids(findings) == [("capacity", True), ("capacity", False), ("capacity", True)]
    assert findings[1].blocks
    assert "reserve_mib" in findings[1].remedy


def test_a_load_through_too_little_ram_is_a_warning() -> None:
    small = site("[machine.roles.heavy]", "ram_mib = 16384\n[machine.roles.heavy]")
    findings = list(checks._capacity(small, "agentic"))

    assert findings[-1].id == "capacity"
    assert not findings[-1].ok
    assert not findings[-1].blocks
    assert "the load will be slow" in findings[-1].observed
