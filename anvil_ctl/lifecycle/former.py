"""What ran before a transition, kept as it was installed, so that exactly that can come back."""

from __future__ import annotations

import json
from dataclasses import dataclass

from anvil_ctl.config import MODES, Mode
from anvil_ctl.docker import Docker
from anvil_ctl.errors import AnvilError
from anvil_ctl.history import write_atomically
from anvil_ctl.lifecycle.observe import Snapshot, multiplexer_admin, router_admin
from anvil_ctl.lifecycle.projects import mode_project
from anvil_ctl.site import Site

_STOP_S = 45


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


def reinstate(site: Site, docker: Docker, former: Former, failed: Mode) -> None:
    """Remove what failed, and bring the former mode back to where it answers."""
    if failed != former.mode:
        mode_project(site, docker, failed).down(_STOP_S)
    write_atomically(site.compose_file(former.mode), former.compose)
    project = mode_project(site, docker, former.mode)
    project.create()
    if former.fixed:
        project.up_and_wait(former.start_timeout_s, former.fixed)
    folder = site.control_folder / "control"
    write_atomically(folder / "router.toml", former.router)
    write_atomically(folder / "registry.json", former.registry)
    multiplexer, router = multiplexer_admin(site), router_admin(site)
    multiplexer.reload()
    multiplexer.release()
    said = router.reload()
    if said.get("mode") != former.mode:
        raise AnvilError(f"the router reports mode {said.get('mode')}, not {former.mode}")
    router.release()
