"""The checks that also are gates: all of them pass, or nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from anvil_ctl.config import Mode
from anvil_ctl.doctor.checks import CHECKS
from anvil_ctl.doctor.finding import Finding, Status
from anvil_ctl.doctor.gather import gather
from anvil_ctl.doctor.looking import Wanted
from anvil_ctl.doctor.report import examine, looks
from anvil_ctl.doctor.survey import Survey, Unknown
from anvil_ctl.errors import GateError, UsageError
from anvil_ctl.site import Site

GATES = tuple(check for check in CHECKS if check.gates)
TIME_LIMIT_S = 30.0


def check(
    site: Site, mode: Mode, environ: Mapping[str, str], skip: Collection[str] = ()
) -> tuple[str, ...]:
    """GateError that names every gate that `mode` does not pass; what skipped ones have found.

    UsageError for one to skip that is none.
    """
    known = {each.id for each in GATES}
    for each in skip:
        if each not in known:
            raise UsageError(
                f"--skip-gate: {each!r} is no gate", hint=f"gates: {' '.join(sorted(known))}"
            )
    return refuse(_look(site, mode, environ), skip)


def before_start(site: Site, mode: Mode, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """What the gates find, whatever it is: what a mode still needs before it can start."""
    return examine(_look(site, mode, environ), GATES)


def _look(site: Site, mode: Mode, environ: Mapping[str, str]) -> Survey:
    wanted = Wanted(looks(GATES), mode)
    return gather(site.home, environ, wanted, definition=site, total_s=TIME_LIMIT_S)


def refuse(survey: Survey, skip: Collection[str] = ()) -> tuple[str, ...]:
    """GateError where a gate fails, or Docker would not say; what those to skip would have said."""
    # What Docker itself knows: not to be told it is never the same as to be told of nothing.
    asked = (survey.compose, survey.containers, survey.images, survey.volumes, survey.store)
    silent = {each.reason for each in asked if isinstance(each, Unknown)}
    found = [each for each in examine(survey, GATES) if _stops(each, silent)]
    wrong = [each for each in found if each.id not in skip]
    if wrong:
        said = "; ".join(f"{each.observed} [{each.id}]" for each in wrong)
        remedies = dict.fromkeys(each.remedy for each in wrong if each.remedy)
        raise GateError(
            f"nothing was changed: {said}", hint="; ".join(remedies) or "anvil-ctl doctor"
        )
    return tuple(f"{each.id}: {each.observed}" for each in found if each.id in skip)


def _stops(finding: Finding, silent: set[str]) -> bool:
    unknown = finding.status is Status.UNKNOWN and finding.observed in silent
    return finding.blocks or unknown
