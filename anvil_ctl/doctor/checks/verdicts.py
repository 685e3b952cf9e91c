"""Compatibility rules as findings: each under the check that it names, by its own id."""

from __future__ import annotations

from collections.abc import Iterator

from anvil_ctl.doctor.finding import Finding, fail, ok, warn
from anvil_ctl.doctor.survey import Survey
from anvil_ctl.rules import Verdict


def of_rules(survey: Survey, check: str) -> Iterator[Finding]:
    """What the rules that belong to a check say of the mode's tiers; what is right counts too."""
    mine = [each for each in survey.rendered.verdicts if each.check == check]
    alike: dict[tuple[str, str, str], list[Verdict]] = {}
    for each in mine:
        alike.setdefault((each.rule, each.message, each.remedy), []).append(each)
    for (rule, message, remedy), verdicts in alike.items():
        tiers = ", ".join(each.tier for each in verdicts)
        expected = f"what rule {rule} asks for ({verdicts[0].source})"
        if verdicts[0].kind == "add":
            yield ok(f"tier {tiers}: {message} [rule {rule}]")
        else:
            said = warn if verdicts[0].kind == "warn" else fail
            yield said(f"tier {tiers}: {message}", expected, remedy, rule)
    if not any(each.kind == "deny" for each in mine):
        rules = [each for each in survey.site.renderer.rulebook.all if each.check == check]
        yield ok(f"none of {len(rules)} rules refuses the mode")


def overdue(survey: Survey) -> Iterator[Finding]:
    """The rules whose day of review has come."""
    today = survey.station.today
    late = [each.id for each in survey.site.renderer.rulebook.all if each.review_by < today]
    if late:
        remedy = "a newer anvil-ctl, or look at their sources in docs/reference/rules.md"
        yield warn(f"rules to review again: {', '.join(late)}", "rules that were reviewed", remedy)
