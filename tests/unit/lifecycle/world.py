"""A machine in memory for transitions, and what they leave in the journal."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from anvil_ctl.config import Mode
from anvil_ctl.errors import AnvilError, GateError
from anvil_ctl.lifecycle.former import Former
from anvil_ctl.lifecycle.observe import Snapshot, goal
from anvil_ctl.lifecycle.plan import Act, Observed, Op, TierState
from anvil_ctl.lifecycle.watch import Watch
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.site import Site

NOTHING = Observed({}, None, None, None, None)


@dataclass
class FakeWorld:
    """A machine in memory: acts change what is observed, and one act can be told to fail."""

    site: Site
    observed: Observed = NOTHING
    fail_at: Op | None = None
    failure: BaseException | None = None
    signal_at: Op | None = None
    signals: int = 1
    fail_restoring: bool = False
    refuse: str = ""
    skipped: tuple[str, ...] = ()
    image: str | None = "sha256:1"
    done: list[str] = field(default_factory=list)

    def snapshot(self) -> Snapshot:
        return Snapshot((), None, None, self.observed)

    def control_hash(self) -> str:
        return "c1"

    def images(self, target: Mode) -> Mapping[str, str | None]:
        return {"anvil/llamacpp-cpu:test": self.image}

    def hooks(self) -> tuple[str, ...]:
        return ()

    def await_docker(self) -> None:
        self.done.append("await docker")

    def check_gates(self, files: ModeFiles) -> tuple[str, ...]:
        if self.refuse:
            raise GateError(self.refuse)
        return self.skipped

    def effects(self, files: ModeFiles | None, watch: Watch) -> FakeEffects:
        return FakeEffects(self, files)

    def former(self, found: Snapshot) -> Former | None:
        mode = found.observed.router_mode
        if mode is None:
            return None
        return Former("agentic" if mode == "agentic" else "flexibility", "", "", "", (), 1)

    def reinstate(self, former: Former, failed: Mode) -> None:
        self.done.append(f"reinstate {former.mode}")
        if self.fail_restoring:
            raise AnvilError("no space left on device")
        self.observed = live(self.site, former.mode)

    def readmit(self) -> None:
        self.done.append("readmit")

    def keep_logs(self, mode: Mode) -> None:
        self.done.append(f"keep logs of {mode}")


@dataclass
class FakeEffects:
    world: FakeWorld
    files: ModeFiles | None

    def perform(self, act: Act) -> str:
        self.world.done.append(f"{act.op} {act.target}")
        if act.op is self.world.fail_at:
            raise self.world.failure or AnvilError(f"{act.op} failed")
        if act.op is self.world.signal_at:
            for _ in range(self.world.signals):
                signal.raise_signal(signal.SIGINT)
        if act.op is Op.DOWN:
            kept = {k: v for k, v in self.world.observed.tiers.items() if k != act.target}
            self.world.observed = replace(self.world.observed, tiers=kept)
        if act.op is Op.RELEASE and self.files:
            self.world.observed = live(self.world.site, self.files.mode)
        return f"{act.op} done"


def live(site: Site, mode: Mode) -> Observed:
    wanted = goal(site, site.renderer.mode(mode), "c1")
    tiers = {tier.id: TierState("running", tier.config_hash) for tier in wanted.tiers}
    return Observed({mode: tiers}, "c1", wanted.router_hash, wanted.registry_hash, mode, True)


def outcomes(site: Site) -> list[str]:
    """The outcome of each finished journal, oldest first."""
    found = sorted((site.home.journal / "history").glob("*.json"))
    return [json.loads(each.read_text(encoding="utf-8"))["outcome"] for each in found]
