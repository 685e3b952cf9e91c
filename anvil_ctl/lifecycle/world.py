"""Everything that a transition needs of the outside, behind one seam."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from anvil_ctl.config import Mode
from anvil_ctl.docker import Docker
from anvil_ctl.doctor import gates
from anvil_ctl.errors import AnvilError
from anvil_ctl.history import write_atomically
from anvil_ctl.lifecycle import former as formers
from anvil_ctl.lifecycle import observe
from anvil_ctl.lifecycle.effects import Effects, RealEffects
from anvil_ctl.lifecycle.former import Former
from anvil_ctl.lifecycle.observe import Snapshot
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.service import LABEL
from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class Options:
    """How patient a transition is with running requests."""

    drain_s: float = 30.0
    force_drain: bool = False


class World(Protocol):
    """Docker, the control processes and the installed files."""

    def snapshot(self) -> Snapshot: ...
    def control_hash(self) -> str: ...
    def images(self, target: Mode) -> Mapping[str, str | None]: ...
    def check_gates(self, target: Mode) -> None: ...
    def effects(self, files: ModeFiles | None) -> Effects: ...
    def former(self, found: Snapshot) -> Former | None: ...
    def reinstate(self, former: Former, failed: Mode) -> None: ...
    def readmit(self) -> None: ...
    def keep_logs(self, mode: Mode) -> None: ...


@dataclass(frozen=True, slots=True)
class RealWorld:
    """A site on its Docker engine."""

    site: Site
    docker: Docker
    options: Options

    def snapshot(self) -> Snapshot:
        return observe.snapshot(self.site, self.docker)

    def control_hash(self) -> str:
        return self.site.control(self.docker.socket()).hash

    def images(self, target: Mode) -> Mapping[str, str | None]:
        """What the target's containers and the control project run, with the ids here."""
        found = {name: self.docker.image(name) for name in self.site.images_of(target)}
        return {name: image.id if image else None for name, image in found.items()}

    def check_gates(self, target: Mode) -> None:
        """GateError unless all that the target needs is here; asked while the old mode serves."""
        gates.check(self.site, target, os.environ)

    def effects(self, files: ModeFiles | None) -> Effects:
        drain_s, force = self.options.drain_s, self.options.force_drain
        return RealEffects(self.site, self.docker, files, drain_s, force)

    def former(self, found: Snapshot) -> Former | None:
        return formers.read(self.site, found)

    def reinstate(self, former: Former, failed: Mode) -> None:
        formers.reinstate(self.site, self.docker, former, failed)

    def readmit(self) -> None:
        """Let held requests go on, wherever a control process answers."""
        for admin in (observe.multiplexer_admin(self.site), observe.router_admin(self.site)):
            if admin.status() is not None:
                admin.release()

    def keep_logs(self, mode: Mode) -> None:
        """Save the last lines of what is about to be removed: the mode, and the control project."""
        # The failure that is being handled must stay the one that the user sees.
        with contextlib.suppress(AnvilError, OSError):
            for each in self.docker.containers(f"{LABEL}.project={self.site.project}"):
                if each.labels.get(f"{LABEL}.mode", mode) == mode:
                    path = self.site.home.journal / "logs" / f"{each.name}.log"
                    write_atomically(path, self.docker.container_logs(each.name, 200))
