"""docs/reference/doctor.md and the code name the same checks."""

from __future__ import annotations

import re

from anvil_ctl.doctor.checks import CHECKS
from anvil_ctl.doctor.fix import FIXED
from anvil_ctl.paths import bundle
from anvil_ctl.rulebook import load

PAGE = (bundle() / "docs" / "reference" / "doctor.md").read_text(encoding="utf-8")
PARTS = ("**What it checks.**", "**Why it matters.**", "**How to fix.**")


def sections() -> dict[str, str]:
    found = re.split(
        r"^### (D\d\d)$", PAGE.partition("\n## What has no check")[0], flags=re.MULTILINE
    )
    return dict(zip(found[1::2], found[2::2], strict=True))


def test_every_check_has_its_section_in_order() -> None:
    assert list(sections()) == [check.id for check in CHECKS]


def test_every_section_says_what_why_and_how() -> None:
    for id_, text in sections().items():
        assert [text.count(part) for part in PARTS] == [1, 1, 1], id_


def test_the_page_says_which_checks_are_gates() -> None:
    gates = {check.id for check in CHECKS if check.gates}

    assert {id_ for id_, text in sections().items() if "Gate." in text} == gates


def test_the_page_says_what_may_be_fixed() -> None:
    table = PAGE.partition("## What --fix does")[2].partition("## As a gate")[0]

    assert set(re.findall(r"^\| (D\d\d)", table, re.MULTILINE)) == FIXED


def test_every_rule_is_shown_under_a_check_that_there_is() -> None:
    ids = {check.id for check in CHECKS}

    assert {rule.check for rule in load(bundle() / "engines").all} <= ids
