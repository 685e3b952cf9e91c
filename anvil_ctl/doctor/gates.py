"""The same checks as a gate: all of them pass, or nothing is changed."""

from __future__ import annotations

from anvil_ctl.config import Mode
from anvil_ctl.docker import Docker
from anvil_ctl.doctor import checks
from anvil_ctl.errors import GateError
from anvil_ctl.site import Site


def check(site: Site, docker: Docker, mode: Mode) -> None:
    """GateError that names every check that failed for `mode`."""
    wrong = [each for each in checks.check(site, docker, mode) if each.blocks]
    if wrong:
        said = "; ".join(each.observed for each in wrong)
        remedies = dict.fromkeys(each.remedy for each in wrong)
        raise GateError(f"nothing was changed: {said}", hint="; ".join(remedies))
