"""docs/reference/rules.md says what the rules say. UPDATE_GOLDEN=1 writes its list anew."""

from __future__ import annotations

import os

from anvil_ctl import rulebook
from anvil_ctl.paths import bundle
from anvil_ctl.rulebook import Rule

PAGE = bundle() / "docs" / "reference" / "rules.md"
HEADING = "## The rules\n"


def section(rule: Rule, engine: str) -> str:
    of = engine + ("" if rule.versions == "*" else f" {rule.versions}")
    return (
        f"### {rule.id}\n\n"
        f"{rule.verdict}, {of}: {rule.message}\n\n"
        f"* **Why**: {rule.why}\n"
        f"* **Remedy**: {rule.remedy}\n"
        f"* **Source**: {rule.source}; to be reviewed by {rule.review_by}\n"
    )


def test_every_rule_is_on_the_page_as_it_is_in_the_data() -> None:
    book = rulebook.load(bundle() / "engines")
    listed = [section(rule, "any engine") for rule in book.common]
    listed += [section(rule, engine) for engine, rules in book.engines.items() for rule in rules]
    before = PAGE.read_text(encoding="utf-8").partition(HEADING)[0]
    page = f"{before}{HEADING}\n" + "\n".join(listed)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(page, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == page
