"""What each act of a plan does to the world."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from anvil_ctl import hardware, signatures
from anvil_ctl.config import Tier
from anvil_ctl.docker import Docker
from anvil_ctl.docker_errors import DockerError
from anvil_ctl.errors import AnvilError
from anvil_ctl.lifecycle import devices, engines, holding, hooks, starting
from anvil_ctl.lifecycle.admin import Admin
from anvil_ctl.lifecycle.observe import multiplexer_admin, router_admin
from anvil_ctl.lifecycle.plan import PRE_HOOK, Act, Op
from anvil_ctl.lifecycle.projects import control_project, control_up, mode_project
from anvil_ctl.lifecycle.proof import prove
from anvil_ctl.lifecycle.watch import Watch
from anvil_ctl.paths import bundle
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.site import Site

_STOP_S = 45
# The user's wish to stop is looked for this often while answers finish.
_DRAIN_SLICE_S = 1.0


class Effects(Protocol):
    """Carries out one act; what came of it, in a few words, where there is anything to say.

    Raises AnvilError if it could not be done or proven.
    """

    def perform(self, act: Act) -> str: ...


@contextmanager
def _explained() -> Iterator[None]:
    """Docker's own failures, with what they mean where that is known."""
    try:
        yield
    except DockerError as error:
        found = signatures.load(bundle() / "engines").classify("", error.message)
        if found is None:
            raise
        said = f"{error.message}: {found.signature.cause} [{found.signature.see}]"
        raise DockerError(said, hint=found.signature.fix) from error


@dataclass(frozen=True, slots=True)
class RealEffects:
    """Acts on Docker and on the control processes of a site."""

    site: Site
    docker: Docker
    files: ModeFiles | None
    watch: Watch
    drain_s: float
    force_drain: bool = False

    def perform(self, act: Act) -> str:
        actions: dict[Op, Callable[[Act], str | None]] = {
            Op.HOOK: self._hook,
            Op.HOLD: self._hold,
            Op.DRAIN: self._drain,
            Op.RETIRE: self._retire,
            Op.DOWN: self._down,
            Op.FREE: self._free,
            Op.INSTALL: self._install,
            Op.CONTROL: self._control,
            Op.UP: self._up,
            Op.READY: self._ready,
            Op.MULTIPLEXER: self._multiplexer,
            Op.CANARY: self._canary,
            Op.ROUTER: lambda _act: self._router(),
            Op.PROVE: self._prove,
            Op.RELEASE: lambda _act: holding.release(self.site),
            Op.STOP: lambda _act: self._stop(),
        }
        return actions[act.op](act) or ""

    @property
    def _target(self) -> ModeFiles:
        if self.files is None:
            raise AnvilError("a plan without a target mode has an act that needs one")
        return self.files

    def _hold(self, _act: Act) -> None:
        reason = f"changing to {self.files.mode if self.files else 'nothing'}"
        holding.hold(self.site, reason, self.watch.expected_s)

    def _drain(self, _act: Act) -> str:
        """Let running answers finish; where that takes too long give up, or cut them if told to."""
        router, multiplexer = router_admin(self.site), multiplexer_admin(self.site)
        left = self._drained(router)
        cut = router.sever() if left and self.force_drain else 0
        if left and not self.force_drain:
            raise self._still(left)
        if multiplexer.status() is not None:
            left = self._drained(multiplexer)
            if left and not self.force_drain:
                raise self._still(left)
            # `retire` cuts what the multiplexer still relays itself.
            cut += left
        if cut:
            self.watch.warn(f"{cut} running answers were cut")
        return f"{cut} running answers were cut" if cut else ""

    def _drained(self, admin: Admin) -> int:
        """Wait for at most `drain_s`, and stop where the user wants that; how many still run."""
        deadline = time.monotonic() + self.drain_s
        while True:
            room = max(0.0, deadline - time.monotonic())
            left = admin.drain(min(_DRAIN_SLICE_S, room))
            if not left or room <= _DRAIN_SLICE_S:
                return left
            self.watch.stop()

    def _still(self, left: int) -> AnvilError:
        return AnvilError(
            f"{left} requests still run after {self.drain_s:.0f} s",
            hint="try again with a longer --drain-timeout, or cut them with --force-drain",
        )

    def _hook(self, act: Act) -> str:
        said = {
            "ANVIL_HOME": str(self.site.home.root),
            "ANVIL_FROM": self.watch.source,
            "ANVIL_TO": self._target.mode,
        }
        try:
            return hooks.run(self.site.home.hooks, act.target, said)
        except AnvilError as error:
            if act.target == PRE_HOOK:
                raise
            # The new mode serves: what comes after it cannot undo that.
            self.watch.warn(f"{error.message}. next: {error.hint}")
            return error.message

    def _free(self, _act: Act) -> str:
        def waiting(seconds: float, full: str) -> None:
            self.watch.working("waiting for the cards", seconds, full)
            self.watch.stop()

        ledger = self.site.renderer.ledger(self._target.mode).cards
        machine = self.site.config.machine
        return devices.prove_free(machine, ledger, hardware.read_cards, waiting)

    def _stop(self) -> None:
        control_project(self.site, self.docker).down(_STOP_S)
        holding.forget(self.site)

    def _retire(self, _act: Act) -> None:
        multiplexer = multiplexer_admin(self.site)
        if multiplexer.status() is not None:
            multiplexer.stop_all(timeout_s=120)

    def _down(self, act: Act) -> None:
        mode = next(mode for mode in self.site.config.modes if mode == act.target)
        mode_project(self.site, self.docker, mode).down(_STOP_S)

    def _install(self, _act: Act) -> None:
        # The Compose file too, though no container may change: its head names what it is of.
        self.site.write_compose(self._target)
        self.site.install(self._target, self.site.control(self.docker.socket()))

    def _control(self, _act: Act) -> None:
        control_up(self.site, self.docker)

    def _up(self, act: Act) -> None:
        """The whole mode, or one tier of it where they load one after the other."""
        project = mode_project(self.site, self.docker, self._target.mode)
        fixed = [tier.id for tier in self._tiers() if not tier.swap]
        with _explained():
            project.create()
            if wanted := [each for each in fixed if act.target in (each, self._target.mode)]:
                project.up(wanted)

    def _ready(self, act: Act) -> None:
        def waiting(seconds: float, line: str) -> None:
            self.watch.stop()
            self.watch.working(f"{act.op}: {act.target}", seconds, line)

        starting.wait(self.site, self.docker, self._target.mode, self._tier(act.target), waiting)

    def _multiplexer(self, _act: Act) -> None:
        multiplexer = multiplexer_admin(self.site)
        multiplexer.reload()
        multiplexer.release()

    def _canary(self, act: Act) -> None:
        tier = self._tier(act.target)
        engines.canary(
            starting.endpoint(self.site, tier), tier.longest_start_s + tier.answer_timeout_s
        )

    def _router(self) -> None:
        said = router_admin(self.site).reload()
        if said.get("mode") != self._target.mode:
            raise AnvilError(
                f"the router reports mode {said.get('mode')}, not {self._target.mode}",
                hint="anvil-ctl logs router",
            )

    def _prove(self, _act: Act) -> str:
        longest = max((tier.answer_timeout_s for tier in self._tiers()), default=600)
        found = prove(router_admin(self.site), multiplexer_admin(self.site).status(), longest)
        self.watch.canaries.extend(found)
        asked = sum(each.asked for each in found)
        later = f", {len(found) - asked} were not asked" if asked < len(found) else ""
        return f"{asked} answered{later}"

    def _tiers(self) -> list[Tier]:
        return self.site.config.modes[self._target.mode].enabled

    def _tier(self, tier_id: str) -> Tier:
        return next(tier for tier in self._tiers() if tier.id == tier_id)
