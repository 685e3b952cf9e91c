"""What `doctor --fix` may do by itself: what loses nothing, stops nothing and decides nothing.

Each fix answers one check, is said before it is done, and leaves the check right. Containers,
weights and anvil.toml are not touched: those are `up`'s, `pull`'s and the user's to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from anvil_ctl import init
from anvil_ctl.docker import Docker
from anvil_ctl.doctor.finding import Finding, Status
from anvil_ctl.doctor.survey import Survey, Unknown
from anvil_ctl.paths import Home
from anvil_ctl.site import Site
from anvil_ctl.store import LABELS


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing that is about to be done, for the check that asks for it."""

    check: str
    says: str
    act: Callable[[], object]


def fixes(survey: Survey, findings: Iterable[Finding], home: Home) -> Iterator[Fix]:
    """What can be done about what was found, in the order in which to do it."""
    wrong = {each.id for each in findings if each.status in (Status.FAIL, Status.WARN)}
    for check, offer in _OFFERS.items():
        if check in wrong:
            yield from offer(survey, home)


def _private(_survey: Survey, home: Home) -> Iterator[Fix]:
    yield Fix("D45", f"chmod 600 {home.secrets}", lambda: home.secrets.chmod(0o600))


def _tokens(survey: Survey, home: Home) -> Iterator[Fix]:
    secrets = survey.definition.secrets if isinstance(survey.definition, Site) else {}
    missing = [name for name in init.TOKENS if not secrets.get(name, "").strip()]
    if missing:
        says = f"write {', '.join(missing)} to {home.secrets}"
        yield Fix("D42", says, lambda: init.write_tokens(home, renew=False))


def _rendered(survey: Survey, _home: Home) -> Iterator[Fix]:
    files = survey.of_mode.files
    if files is None or not isinstance(survey.definition, Site):
        return
    site = survey.definition
    if survey.home.installed.get("compose.yaml") != files.compose:
        says = f"render {site.compose_file(files.mode)}"
        yield Fix("D21", says, lambda: site.write_compose(files))


def _volume(survey: Survey, _home: Home) -> Iterator[Fix]:
    if not isinstance(survey.definition, Site) or isinstance(survey.volumes, Unknown):
        return
    name = survey.definition.config.machine.models_volume
    if name not in survey.volumes:
        says = f"docker volume create {name}"
        yield Fix("D50", says, lambda: Docker().create_volume(name, LABELS))


_OFFERS: dict[str, Callable[[Survey, Home], Iterator[Fix]]] = {
    "D45": _private,
    "D42": _tokens,
    "D21": _rendered,
    "D50": _volume,
}
FIXED = frozenset(_OFFERS)
