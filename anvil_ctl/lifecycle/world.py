"""Everything that a transition needs of the outside, behind one seam."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from anvil_ctl.config import Mode
from anvil_ctl.docker import Docker
from anvil_ctl.doctor import gates
from anvil_ctl.errors import AnvilError, GateError
from anvil_ctl.history import write_atomically
from anvil_ctl.lifecycle import former as formers
from anvil_ctl.lifecycle import holding, hooks, observe
from anvil_ctl.lifecycle.admin import AdminError
from anvil_ctl.lifecycle.effects import Effects, RealEffects
from anvil_ctl.lifecycle.former import Former
from anvil_ctl.lifecycle.observe import Snapshot
from anvil_ctl.lifecycle.watch import Watch
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.service import LABEL
from anvil_ctl.site import Site

# A daemon that is restarted answers again within this, or somebody has to look at it.
_DAEMON_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """How patient a transition is with running requests, and the gates that it does not ask."""

    drain_s: float = 30.0
    force_drain: bool = False
    skip_gates: tuple[str, ...] = ()


class World(Protocol):
    """Docker, the control processes and the installed files."""

    def snapshot(self) -> Snapshot: ...
    def control_hash(self) -> str: ...
    def hooks(self) -> tuple[str, ...]: ...
    def images(self, target: Mode) -> Mapping[str, str | None]: ...
    def check_gates(self, files: ModeFiles) -> tuple[str, ...]: ...
    def effects(self, files: ModeFiles | None, watch: Watch) -> Effects: ...
    def former(self, found: Snapshot) -> Former | None: ...
    def reinstate(self, former: Former, failed: Mode) -> None: ...
    def readmit(self) -> None: ...
    def keep_logs(self, mode: Mode) -> None: ...
    def await_docker(self) -> None: ...


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

    def hooks(self) -> tuple[str, ...]:
        return hooks.there(self.site.home.hooks)

    def images(self, target: Mode) -> Mapping[str, str | None]:
        """What the target's containers and the control project run, with the ids here."""
        found = {name: self.docker.image(name) for name in self.site.images_of(target)}
        return {name: image.id if image else None for name, image in found.items()}

    def check_gates(self, files: ModeFiles) -> tuple[str, ...]:
        """GateError unless all that the target needs is here; asked while the old mode serves.

        What was found by gates that the user would not have asked is returned.
        """
        skipped = gates.check(self.site, files.mode, os.environ, self.options.skip_gates)
        router = observe.router_admin(self.site)
        if router.status() is not None:
            try:
                router.check(files.router)
            except AdminError as error:
                raise GateError(
                    f"nothing was changed: the router that runs would not take the config of "
                    f"{files.mode}: {error.message}",
                    hint="anvil-ctl images build, then: anvil-ctl up",
                ) from error
        return skipped

    def effects(self, files: ModeFiles | None, watch: Watch) -> Effects:
        drain_s, force = self.options.drain_s, self.options.force_drain
        return RealEffects(self.site, self.docker, files, watch, drain_s, force)

    def former(self, found: Snapshot) -> Former | None:
        return formers.read(self.site, found)

    def reinstate(self, former: Former, failed: Mode) -> None:
        formers.reinstate(self.site, self.docker, former, failed)

    def readmit(self) -> None:
        """Let held requests go on, wherever a control process answers."""
        holding.readmit(self.site)

    def keep_logs(self, mode: Mode) -> None:
        """Save the last lines of what is about to be removed: the mode, and the control project."""
        # The failure that is being handled must stay the one that the user sees.
        with contextlib.suppress(AnvilError, OSError):
            for each in self.docker.containers(f"{LABEL}.project={self.site.project}"):
                if each.labels.get(f"{LABEL}.mode", mode) == mode:
                    path = self.site.home.journal / "logs" / f"{each.name}.log"
                    write_atomically(path, self.docker.container_logs(each.name, 200))

    def await_docker(self) -> None:
        """Wait for a daemon that is being restarted; DockerError if it does not come back."""
        deadline = time.monotonic() + _DAEMON_S
        while True:
            try:
                self.docker.info()
            except AnvilError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return
