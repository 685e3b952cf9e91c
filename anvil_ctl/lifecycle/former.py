"""What ran before a transition, kept as it was installed, so that exactly that can come back."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from anvil_ctl.config import MODES, Mode
from anvil_ctl.docker import Docker
from anvil_ctl.errors import AnvilError
from anvil_ctl.history import write_atomically
from anvil_ctl.lifecycle import holding, starting
from anvil_ctl.lifecycle.observe import Snapshot, multiplexer_admin, router_admin
from anvil_ctl.lifecycle.projects import control_up, drop_detached, mode_project
from anvil_ctl.lifecycle.proof import prove
from anvil_ctl.site import Site

_STOP_S = 45
_FILE, _SPARE = "former.json", "former"


@dataclass(frozen=True, slots=True)
class Former:
    """A live mode by its installed texts. `fixed` are the engines that run all the time."""

    mode: Mode
    compose: str
    router: str
    registry: str
    fixed: tuple[str, ...]
    start_timeout_s: int


def read(site: Site, found: Snapshot) -> Former | None:
    """The mode that the router serves now; None where none is live or its files are gone."""
    mode = next((each for each in MODES if each == found.observed.router_mode), None)
    if mode is None:
        return None
    folder = site.control_folder / "control"
    try:
        compose = site.compose_file(mode).read_text(encoding="utf-8")
        router = (folder / "router.toml").read_text(encoding="utf-8")
        registry = (folder / "registry.json").read_text(encoding="utf-8")
    except OSError:
        return None
    swapped = {row["tier"] for row in json.loads(registry)["models"]}
    fixed = tuple(sorted(set(found.observed.tiers.get(mode, {})) - swapped))
    longest = max((tier.longest_start_s for tier in site.config.modes[mode].enabled), default=600)
    return Former(mode, compose, router, registry, fixed, longest)


def save(folder: Path, former: Former | None) -> None:
    """Keep it where the command after a killed one finds it; None: nothing had been live.

    The texts are kept as files too: these can be put back on a disk that is full.
    """
    said = None if former is None else asdict(former)
    write_atomically(folder / _FILE, json.dumps(said) + "\n")
    if former is not None:
        for name, text in _texts(former).items():
            write_atomically(folder / _SPARE / name, text)


def _texts(former: Former) -> dict[str, str]:
    return {
        "compose.yaml": former.compose,
        "router.toml": former.router,
        "registry.json": former.registry,
    }


def saved(folder: Path) -> Former | None:
    """What `save` kept. AnvilError where that cannot be read."""
    path = folder / _FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return None if found is None else Former(**{**found, "fixed": tuple(found["fixed"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AnvilError(
            f"what ran before is not known: {path}: {error}", hint="anvil-ctl status"
        ) from error


def forget(folder: Path) -> None:
    """The transition has ended."""
    with contextlib.suppress(OSError):
        (folder / _FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / _SPARE, ignore_errors=True)


def reinstate(site: Site, docker: Docker, former: Former, failed: Mode) -> None:
    """Remove what failed, and bring the former mode back to where it is proved to answer."""
    if failed != former.mode:
        mode_project(site, docker, failed).down(_STOP_S)
    spare = site.home.journal / _SPARE
    _put(site.compose_file(former.mode), former.compose, spare / "compose.yaml")
    project = mode_project(site, docker, former.mode)
    project.create()
    if former.fixed and _as_defined(site, former):
        project.up(former.fixed)
        for tier in site.config.modes[former.mode].enabled:
            if tier.id in former.fixed:
                starting.wait(site, docker, former.mode, tier)
    elif former.fixed:
        # Ports and names are those of a definition that is no more: Docker's own look has to do.
        project.up_and_wait(former.start_timeout_s, former.fixed)
    folder = site.control_folder / "control"
    _put(folder / "router.toml", former.router, spare / "router.toml")
    _put(folder / "registry.json", former.registry, spare / "registry.json")
    if drop_detached(site, docker):
        control_up(site, docker)
    multiplexer, router = multiplexer_admin(site), router_admin(site)
    multiplexer.reload()
    multiplexer.release()
    said = router.reload()
    if said.get("mode") != former.mode:
        raise AnvilError(f"the router reports mode {said.get('mode')}, not {former.mode}")
    prove(router, multiplexer.status(), former.start_timeout_s)
    holding.release(site)


def _as_defined(site: Site, former: Former) -> bool:
    """Whether what is defined now is what had been installed."""
    try:
        return site.renderer.mode(former.mode).compose == former.compose
    except AnvilError:
        return False


def _put(path: Path, text: str, spare: Path) -> None:
    """Write what differs; where that cannot be written, move the `spare` copy there.

    On a full disk a file that is as it was, and a move, need no room.
    """
    with contextlib.suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return
    try:
        write_atomically(path, text)
    except OSError:
        if not spare.is_file():
            raise
        spare.replace(path)
