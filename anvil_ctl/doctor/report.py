"""Checks put to a survey: what each of them found, and what that comes to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from anvil_ctl.doctor.check import Check
from anvil_ctl.doctor.checks import CHECKS, GROUPS
from anvil_ctl.doctor.checks.agreement import refusal, refused, shown_by
from anvil_ctl.doctor.finding import Finding, Status, unknown
from anvil_ctl.doctor.survey import CannotTellError, Look, Survey
from anvil_ctl.errors import UsageError

_ORDER = (Status.FAIL, Status.WARN, Status.UNKNOWN, Status.INFO, Status.OK)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in the checks' order. `strict` makes a warning as grave as a failure."""

    findings: tuple[Finding, ...]
    strict: bool = False

    @property
    def good(self) -> bool:
        wrong = {Status.FAIL, Status.WARN} if self.strict else {Status.FAIL}
        return not any(each.status in wrong for each in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """Findings by status, the gravest first."""
        found = Counter(each.status for each in self.findings)
        return {str(status): found[status] for status in _ORDER}

    @property
    def next_step(self) -> str:
        """What to type next: the remedy of the first finding of the gravest kind that has one."""
        for status in _ORDER[:-1]:
            for each in self.findings:
                if each.status is status and each.remedy:
                    return each.remedy
        return ""

    def summary(self) -> str:
        """One line: how many of each kind, and the single most useful thing to type."""
        counted = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)
        return f"{counted}; next: {self.next_step}" if self.next_step else counted

    def lines(self, *, every: bool = False) -> Iterator[str]:
        """For people: what is not right, each on a line; what is right by group, or all of it."""
        for group, checks in GROUPS.items():
            ids = [check.id for check in checks]
            found = [each for each in self.findings if each.id in ids]
            wrong = {each.id for each in found if not each.ok}
            for each in found:
                if each.status is not Status.UNKNOWN and (every or not each.ok):
                    yield _line(each)
            right = [id_ for id_ in ids if id_ in {each.id for each in found} - wrong]
            if right and not every:
                yield f"{'ok':<4} {group}: {' '.join(right)}"
        yield from self._unknown()

    def _unknown(self) -> Iterator[str]:
        """What could not be looked at, one line for each cause."""
        causes: dict[tuple[str, str], list[str]] = {}
        for each in self.findings:
            if each.status is Status.UNKNOWN:
                causes.setdefault((each.observed, each.remedy), []).append(each.id)
        for (reason, remedy), ids in causes.items():
            known_by = f". next: {remedy}" if remedy else ""
            yield f"{'??':<4} {' '.join(dict.fromkeys(ids))}: {reason}{known_by}"

    def as_json(self, mode: str) -> dict[str, object]:
        titles = {check.id: check.title for check in CHECKS}
        groups = {check.id: group for group, checks in GROUPS.items() for check in checks}
        return {
            "ok": self.good,
            "mode": mode,
            "counts": self.counts,
            "next": self.next_step,
            "checks": [
                {"id": each.id, "group": groups[each.id], "title": titles[each.id]}
                | {key: value for key, value in each.as_json().items() if key != "id"}
                for each in self.findings
            ],
        }


_MARKS = {Status.OK: "ok", Status.INFO: "--", Status.WARN: "!!", Status.FAIL: "no"}


def _line(finding: Finding) -> str:
    rule = f" [rule {finding.rule}]" if finding.rule and finding.rule not in str(finding) else ""
    return f"{_MARKS[finding.status]:<4} {finding.id}{rule} {finding}"


def choose(only: Collection[str]) -> Sequence[Check]:
    """The checks of these ids, all of them for none; UsageError for an id that is none."""
    known = {check.id for check in CHECKS}
    wanted = {each.upper() for each in only}
    for each in sorted(wanted - known):
        raise UsageError(f"--only: {each!r} is no check; they go from D01 to {max(known)}")
    return [check for check in CHECKS if not wanted or check.id in wanted]


def looks(checks: Iterable[Check]) -> frozenset[Look]:
    """The parts of a survey that these checks need."""
    return frozenset(look for check in checks for look in check.looks)


def examine(survey: Survey, checks: Iterable[Check]) -> tuple[Finding, ...]:
    """What each check finds; one that cannot tell says why."""
    return tuple(replace(each, id=check.id) for check in checks for each in _of(check, survey))


def _of(check: Check, survey: Survey) -> Iterator[Finding]:
    # What the schema refuses belongs to one check, and is not said again by others.
    error = refusal(survey)
    if error is not None and shown_by(error) == check.id:
        yield refused(error)
        return
    try:
        yield from check.decide(survey)
    except CannotTellError as cannot:
        yield unknown(cannot.unknown.reason, cannot.unknown.remedy)
