"""Carries out plans as transactions: all of a plan is done, or what ran before runs again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from anvil_ctl.config import Mode
from anvil_ctl.config.model import Machine
from anvil_ctl.errors import AnvilError, BusyError, GateError, NotRestoredError
from anvil_ctl.events import Event, Report, State, silent
from anvil_ctl.history import History
from anvil_ctl.lifecycle import journal as journals
from anvil_ctl.lifecycle.effects import Effects
from anvil_ctl.lifecycle.former import Former
from anvil_ctl.lifecycle.journal import Journal
from anvil_ctl.lifecycle.observe import Snapshot, goal
from anvil_ctl.lifecycle.plan import Act, Observed, Op, Plan, plan, plan_down
from anvil_ctl.lifecycle.world import World
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.site import Site

_DEFAULT_S = {Op.CONTROL: 8.0, Op.UP: 3.0, Op.DOWN: 3.0, Op.READY: 30.0, Op.CANARY: 5.0}


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
    world: World
    report: Report = silent

    def preview(self, target: Mode) -> Plan:
        """The plan as of now; nothing is touched."""
        return self._plan(self.world.snapshot(), self.site.renderer.mode(target))

    def run(self, verb: str, target: Mode) -> Outcome:
        """Plan, check the gates, then act; on failure restore. Raises what went wrong.

        Only the verbs `switch` and `recover` may end a mode that is live. GateError and
        BusyError: nothing was changed. NotRestoredError: see its message.
        """
        refuse_plan_only(self.site.config.machine)
        folder = self.site.home.journal
        with journals.lock(folder, verb):
            cut_off = journals.interrupted(folder)
            if cut_off and verb != "recover":
                raise BusyError(
                    f"an earlier command was cut off ({cut_off})", hint="anvil-ctl recover"
                )
            files = self.site.renderer.mode(target)
            before = self.world.snapshot()
            steps = self._plan(before, files)
            if verb == "up":
                refuse_other_mode(steps)
            if verb == "switch":
                refuse_new_control(steps, before.observed)
            if steps.acts:
                self.world.check_gates(target)
            journals.set_aside(folder)
            if not steps.acts:
                return Outcome(steps, ())
            return self._transact(steps, files, before)

    def stop(self) -> Outcome:
        """Stop engines and control project, in order, and keep every volume."""
        folder = self.site.home.journal
        with journals.lock(folder, "down"):
            steps = plan_down(self.world.snapshot().observed)
            journals.set_aside(folder)
            journal = Journal(folder, list(steps.source), "down")
            try:
                phases = self._execute(steps, None, journal)
            except AnvilError as error:
                self.world.readmit()
                journal.finish("failed", str(error))
                raise
            journal.finish("complete")
            return Outcome(steps, phases)

    def _transact(self, steps: Plan, files: ModeFiles, before: Snapshot) -> Outcome:
        former = self.world.former(before)
        journal = Journal(self.site.home.journal, list(steps.source), files.mode)
        journal.write()
        try:
            phases = self._execute(steps, files, journal)
        except (AnvilError, KeyboardInterrupt) as error:
            self._undo(files, journal, before, former, error)
            raise
        journal.finish("complete")
        return Outcome(steps, phases)

    def _undo(
        self,
        files: ModeFiles,
        journal: Journal,
        before: Snapshot,
        former: Former | None,
        cause: BaseException,
    ) -> None:
        """Restore what ran before the failed plan; NotRestoredError if that fails too."""
        said = str(cause) or type(cause).__name__
        self.report(Event("undo", f"failed: {said}; restoring what was", State.WARNING))
        self.world.keep_logs(files.mode)
        try:
            if {str(entry["op"]) for entry in journal.acts} <= {Op.HOLD, Op.DRAIN}:
                self.world.readmit()
            elif former is not None:
                self.world.reinstate(former, files.mode)
            else:
                self._remove_new(files, before.observed)
        except (AnvilError, KeyboardInterrupt) as second:
            journal.finish("failed", f"{said}; then: {second}")
            raise NotRestoredError(
                f"{said}; and what ran before could not be restored: {second}",
                hint=f"anvil-ctl status; anvil-ctl up --mode {files.mode}; anvil-ctl down",
            ) from cause
        journal.finish("rolled_back", said)

    def _remove_new(self, files: ModeFiles, before: Observed) -> None:
        """Nothing answered before: leave behind nothing that was not there."""
        effects = self.world.effects(files)
        if files.mode not in before.modes:
            effects.perform(Act(Op.DOWN, files.mode, "its start failed"))
        if not before.control_exists:
            effects.perform(Act(Op.STOP, "router, multiplexer, guard", "the start failed"))

    def _plan(self, found: Snapshot, files: ModeFiles) -> Plan:
        return plan(found.observed, goal(self.site, files, self.world.control_hash()))

    def _execute(self, steps: Plan, files: ModeFiles | None, journal: Journal) -> tuple[Phase, ...]:
        effects = self.world.effects(files)
        return execute(steps, effects, journal, self.site.history, self.report)


def refuse_plan_only(machine: Machine) -> None:
    """What is planned for another machine is started there. GateError if this is such a plan."""
    if machine.plan_only:
        raise GateError(
            "nothing was started: anvil.toml is a plan for another machine (machine.plan_only)",
            hint="on the machine that has its cards: anvil-ctl config set machine.plan_only false",
        )


def refuse_other_mode(steps: Plan) -> None:
    """`up` starts and converges; changing the live mode is `switch`'s to do. GateError if not."""
    others = [mode for mode in steps.source if mode != steps.target]
    if others:
        raise GateError(f"mode {others[0]} is live", hint=f"anvil-ctl switch {steps.target}")


def refuse_new_control(steps: Plan, before: Observed) -> None:
    """A switch keeps waiting requests, which a router that is replaced cannot. GateError if so."""
    replaced = any(act.op is Op.CONTROL for act in steps.acts)
    if replaced and before.control_hash is not None and before.modes:
        raise GateError(
            "router, multiplexer and guard run an older definition, and a switch keeps them",
            hint=f"anvil-ctl up --mode {before.modes[0]}, then: anvil-ctl switch {steps.target}",
        )
