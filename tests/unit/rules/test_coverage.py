"""docs/reference/coverage.md says for each known failure what prevents it, and tells no stories."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from anvil_ctl import rulebook
from anvil_ctl.paths import bundle

ROOT = bundle()
BOOK = rulebook.load(ROOT / "engines")
KNOWN = [
    *(f"K{number:02}" for number in range(1, 27)),
    *(f"A{number:02}" for number in range(1, 13)),
    *(f"C{number:02}" for number in range(1, 21)),
    *(f"S{number:02}" for number in range(1, 18)),
    *(f"SGLang {number}" for number in (19796, 36537, 32459, 39807)),
    *(f"vLLM {number}" for number in (31085, 33416, 26201, 45238, 53912, 50021, 53726, 43562)),
    "CUTLASS 3096",
    "flashinfer 2723",
]


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "reference" / "coverage.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in row.split(" | ")] for row in found]
    return [row for row in cells if row[0] not in ("id", "issue", "rules")]


COVERED = [row for row in rows() if len(row) > 2]


def named(cell: str) -> list[str]:
    """The rules that a cell names."""
    return [
        each
        for listed in re.findall(r"\brules? ((?:[\w-]+\d[a-z]?(?:, )?)+)", cell)
        for each in listed.strip(", ").split(", ")
    ]


def test_every_known_failure_has_its_row_once() -> None:
    assert [row[0] for row in COVERED] == KNOWN


def test_every_rule_is_named_and_every_name_is_a_rule() -> None:
    others = [each for row in rows() if len(row) == 2 for each in row[0].split(", ")]
    said = {each for row in COVERED for each in named(row[2])} | set(others)

    assert said == {rule.id for rule in BOOK.all}


@pytest.mark.parametrize("row", COVERED, ids=lambda row: row[0])
def test_what_is_kept_is_seen_in_a_test_or_a_case_that_exists(row: list[str]) -> None:
    seen = row[3] if len(row) > 3 else ""
    if re.match(r"open:|nothing is needed", row[2]) and not seen.strip("|"):
        return
    test = re.fullmatch(r"`(tests/\S+\.py)::(\w+)`", seen)
    if test:
        assert re.search(rf"^(async )?def {test[2]}\(", (ROOT / test[1]).read_text(), re.MULTILINE)
        return
    case = re.fullmatch(r'case "(.+)"', seen)
    assert case, seen
    hits = {rule for says, rules in cases() if says == case[1] for rule in rules}
    assert hits & set(named(row[2])), (case[1], hits)


def cases() -> list[tuple[str, list[str]]]:
    found = []
    for path in sorted((Path(__file__).parent / "cases").glob("*.toml")):
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        found += [(each["says"], each["rules"]) for each in read["cases"]]
    return found
