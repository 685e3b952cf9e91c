"""Carries out plans as transactions: all of a plan is done, or what ran before runs again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from anvil_ctl.config import Mode
from anvil_ctl.docker import Docker
from anvil_ctl.errors import AnvilError, BusyError, GateError, NotRestoredError
from anvil_ctl.events import Event, Report, State, silent
from anvil_ctl.history import History, write_atomically
from anvil_ctl.lifecycle import journal as journals
from anvil_ctl.lifecycle import observe
from anvil_ctl.lifecycle.effects import Effects, RealEffects
from anvil_ctl.lifecycle.journal import Journal
from anvil_ctl.lifecycle.plan import Act, Op, Plan, plan, plan_down
from anvil_ctl.renderer import LABEL, ModeFiles
from anvil_ctl.site import Site

_DEFAULT_S = {Op.CONTROL: 8.0, Op.UP: 3.0, Op.DOWN: 3.0, Op.READY: 30.0, Op.CANARY: 5.0}


@dataclass(frozen=True, slots=True)
class Options:
    """How patient a transition is with running requests."""

    drain_s: float = 30.0
    force_drain: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """An act that was done, and how long it took."""

    act: Act
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transition that succeeded."""

    plan: Plan
    phases: tuple[Phase, ...]


def execute(
    steps: Plan, effects: Effects, journal: Journal, history: History, report: Report
) -> tuple[Phase, ...]:
    """Perform the acts in order, each journaled before it begins; the first failure ends it."""
    phases: list[Phase] = []
    for act in steps.acts:
        began = time.monotonic()
        name = f"{act.op}.{steps.target or 'down'}.{act.target}".replace(" ", "")
        with (
            journal.act(act.op, act.target),
            history.step(report, name, f"{act.op}: {act.target}", _DEFAULT_S.get(act.op, 0.5)),
        ):
            effects.perform(act)
        phases.append(Phase(act, time.monotonic() - began))
    return tuple(phases)


@dataclass(frozen=True, slots=True)
class Transition:
    """Brings a site's target mode up, or puts back what was."""

    site: Site
    docker: Docker
    options: Options
    report: Report = silent

    def preview(self, target: Mode) -> Plan:
        """The plan as of now; nothing is touched."""
        return self._plan(observe.snapshot(self.site, self.docker), self._render(target))

    def run(self, verb: str, target: Mode, gates: Callable[[Plan], None]) -> Outcome:
        """Plan, check the gates, then act; on failure restore. Raises what went wrong.

        GateError and BusyError: nothing was changed. NotRestoredError: see its message.
        """
        folder = self.site.home.journal
        with journals.lock(folder, verb):
            cut_off = journals.interrupted(folder)
            if cut_off and verb != "recover":
                raise BusyError(
                    f"an earlier command was cut off ({cut_off})", hint="anvil-ctl recover"
                )
            files = self._render(target)
            before = observe.snapshot(self.site, self.docker)
            steps = self._plan(before, files)
            if steps.acts:
                gates(steps)
            journals.set_aside(folder)
            if not steps.acts:
                return Outcome(steps, ())
            return self._transact(steps, files, before)

    def stop(self) -> Outcome:
        """Stop engines and control project, in order, and keep every volume."""
        folder = self.site.home.journal
        with journals.lock(folder, "down"):
            found = observe.snapshot(self.site, self.docker).observed
            steps = plan_down(found)
            journal = Journal(folder, list(steps.source), "down")
            effects = RealEffects(
                self.site, self.docker, None, self.options.drain_s, self.options.force_drain
            )
            try:
                phases = execute(steps, effects, journal, self.site.history, self.report)
            except AnvilError as error:
                self._readmit()
                journal.finish("failed", str(error))
                raise
            journal.finish("complete")
            return Outcome(steps, phases)

    def _transact(self, steps: Plan, files: ModeFiles, before: observe.Snapshot) -> Outcome:
        journal = Journal(self.site.home.journal, list(steps.source), files.mode)
        journal.write()
        try:
            phases = execute(steps, self._effects(files), journal, self.site.history, self.report)
        except (AnvilError, KeyboardInterrupt) as error:
            self._undo(steps, files, journal, before, error)
            raise
        journal.finish("complete")
        return Outcome(steps, phases)

    def _undo(
        self,
        steps: Plan,
        files: ModeFiles,
        journal: Journal,
        before: observe.Snapshot,
        cause: BaseException,
    ) -> None:
        """Restore what ran before the failed plan; NotRestoredError if that fails too."""
        said = str(cause) or type(cause).__name__
        self.report(Event("undo", f"failed: {said}; restoring", State.WARNING))
        self._keep_logs(files)
        done = {str(entry["op"]) for entry in journal.acts}
        try:
            if done <= {Op.HOLD, Op.DRAIN}:
                self._readmit()
            elif before.observed.router_mode is None:
                self._remove(files)
            else:
                self._restore(before.observed.router_mode, journal)
        except (AnvilError, KeyboardInterrupt) as second:
            journal.finish("failed", f"{said}; then: {second}")
            raise NotRestoredError(
                f"{said}; and what ran before could not be restored: {second}",
                hint="anvil-ctl status; anvil-ctl recover; anvil-ctl down",
            ) from cause
        journal.finish("rolled_back", said)

    def _restore(self, mode: str, journal: Journal) -> None:
        former = next(each for each in self.site.config.modes if each == mode)
        files = self._render(former)
        steps = self._plan(observe.snapshot(self.site, self.docker), files)
        execute(steps, self._effects(files), journal, self.site.history, self.report)
        # A failed router reload changes nothing, so there may be nothing to do but readmit.
        self._readmit()

    def _remove(self, files: ModeFiles) -> None:
        """Nothing was live before, so nothing is left behind."""
        effects = self._effects(files)
        effects.perform(Act(Op.DOWN, files.mode, "the first start failed"))
        effects.perform(Act(Op.STOP, "router, multiplexer, guard", "the first start failed"))

    def _readmit(self) -> None:
        for admin in (observe.multiplexer_admin(self.site), observe.router_admin(self.site)):
            if admin.status() is not None:
                admin.release()

    def _keep_logs(self, files: ModeFiles) -> None:
        """Save the last lines of the failed mode's engines before they are removed."""
        with contextlib.suppress(AnvilError, OSError):
            for each in self.docker.containers(f"{LABEL}.project={self.site.project}"):
                if each.labels.get(f"{LABEL}.mode") == files.mode:
                    path = self.site.home.journal / "logs" / f"{each.name}.log"
                    write_atomically(path, self.docker.container_logs(each.name, 200))

    def _render(self, mode: Mode) -> ModeFiles:
        return self.site.renderer.mode(mode)

    def _plan(self, found: observe.Snapshot, files: ModeFiles) -> Plan:
        control = self.site.control(self.docker.socket())
        return plan(found.observed, observe.goal(self.site, files, control.hash))

    def _effects(self, files: ModeFiles) -> RealEffects:
        return RealEffects(
            self.site, self.docker, files, self.options.drain_s, self.options.force_drain
        )


def refuse_other_mode(steps: Plan) -> None:
    """`up` starts and converges; changing the live mode is `switch`'s to do. GateError if not."""
    others = [mode for mode in steps.source if mode != steps.target]
    if others:
        raise GateError(f"mode {others[0]} is live", hint=f"anvil-ctl switch {steps.target}")
