"""The checks that also are gates: all of them pass, or nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping

from anvil_ctl.config import Mode
from anvil_ctl.doctor.checks import CHECKS
from anvil_ctl.doctor.finding import Finding, Status
from anvil_ctl.doctor.gather import gather
from anvil_ctl.doctor.looking import Wanted
from anvil_ctl.doctor.report import examine, looks
from anvil_ctl.doctor.survey import Survey, Unknown
from anvil_ctl.errors import GateError
from anvil_ctl.site import Site

GATES = tuple(check for check in CHECKS if check.gates)
TIME_LIMIT_S = 30.0


def check(site: Site, mode: Mode, environ: Mapping[str, str]) -> None:
    """GateError that names every gate that `mode` does not pass."""
    refuse(_look(site, mode, environ))


def before_start(site: Site, mode: Mode, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """What the gates find, whatever it is: what a mode still needs before it can start."""
    return examine(_look(site, mode, environ), GATES)


def _look(site: Site, mode: Mode, environ: Mapping[str, str]) -> Survey:
    wanted = Wanted(looks(GATES), mode)
    return gather(site.home, environ, wanted, definition=site, total_s=TIME_LIMIT_S)


def refuse(survey: Survey) -> None:
    """GateError where a gate fails, or Docker would not say."""
    # What Docker itself knows: not to be told it is never the same as to be told of nothing.
    asked = (survey.compose, survey.containers, survey.images, survey.volumes, survey.store)
    silent = {each.reason for each in asked if isinstance(each, Unknown)}
    wrong = [each for each in examine(survey, GATES) if _stops(each, silent)]
    if wrong:
        said = "; ".join(f"{each.observed} [{each.id}]" for each in wrong)
        remedies = dict.fromkeys(each.remedy for each in wrong if each.remedy)
        raise GateError(f"nothing was changed: {said}", hint="; ".join(remedies))


def _stops(finding: Finding, silent: set[str]) -> bool:
    unknown = finding.status is Status.UNKNOWN and finding.observed in silent
    return finding.blocks or unknown
