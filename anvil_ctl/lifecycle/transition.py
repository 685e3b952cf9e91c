"""Carries out plans as transactions: all of a plan is done, or what ran before runs again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

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
from anvil_ctl.lifecycle.plan import DEFAULT_S, Act, Observed, Op, Plan, plan, plan_down
from anvil_ctl.lifecycle.preview import Facts, Preview, preview
from anvil_ctl.lifecycle.world import World
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class Phase:
    """An act that was done, and how long it took."""

    act: Act
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transition that succeeded. `hash` is that of the plan as `plan` prints it."""

    plan: Plan
    phases: tuple[Phase, ...]
    hash: str = ""


def execute(
    steps: Plan, effects: Effects, journal: Journal, history: History, report: Report
) -> tuple[Phase, ...]:
    """Perform the acts in order, each journaled before it begins; the first failure ends it."""
    phases: list[Phase] = []
    for act in steps.acts:
        began = time.monotonic()
        name, text = act.step(steps.target), f"{act.op}: {act.target}"
        with (
            journal.act(act.op, act.target),
            history.step(report, name, text, DEFAULT_S.get(act.op, 0.5)),
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

    def preview(self, verb: str, target: Mode | None) -> Preview:
        """What `up`, `switch` or, with no target, `down` would do as of now; nothing is touched."""
        found = self.world.snapshot()
        if target is None:
            return self._preview(verb, plan_down(found.observed), found, None)
        files = self.site.renderer.mode(target)
        steps = self._plan(found, files)
        shown = self._preview(verb, steps, found, files)
        try:
            refuse_plan_only(self.site.config.machine)
            self._refuse_interrupted(verb)
            _refuse(verb, steps, found.observed)
            if steps.acts:
                self.world.check_gates(target)
        except AnvilError as error:
            hint = f". next: {error.hint}" if error.hint else ""
            return replace(shown, refused=f"{error.message}{hint}")
        return shown

    def run(self, verb: str, target: Mode, expected: str | None = None) -> Outcome:
        """Plan, check the gates, then act; on failure restore. Raises what went wrong.

        Only the verbs `switch` and `recover` may end a mode that is live. `expected` is the hash
        of a plan that was printed: another one is refused. GateError and BusyError: nothing was
        changed. NotRestoredError: see its message.
        """
        refuse_plan_only(self.site.config.machine)
        folder = self.site.home.journal
        with journals.lock(folder, verb):
            self._refuse_interrupted(verb)
            files = self.site.renderer.mode(target)
            before = self.world.snapshot()
            steps = self._plan(before, files)
            _refuse(verb, steps, before.observed)
            shown = self._preview(verb, steps, before, files)
            refuse_another_plan(shown, expected)
            if steps.acts:
                self.world.check_gates(target)
            journals.set_aside(folder)
            if not steps.acts:
                return Outcome(steps, (), shown.hash)
            return self._transact(shown, steps, files, before)

    def stop(self, expected: str | None = None) -> Outcome:
        """Stop engines and control project, in order, and keep every volume."""
        folder = self.site.home.journal
        with journals.lock(folder, "down"):
            before = self.world.snapshot()
            steps = plan_down(before.observed)
            shown = self._preview("down", steps, before, None)
            refuse_another_plan(shown, expected)
            journals.set_aside(folder)
            journal = Journal(folder, list(steps.source), "down", shown.hash)
            self._announce(shown)
            try:
                phases = self._execute(steps, None, journal)
            except AnvilError as error:
                self.world.readmit()
                journal.finish("failed", str(error))
                raise
            journal.finish("complete")
            return Outcome(steps, phases, shown.hash)

    def _transact(self, shown: Preview, steps: Plan, files: ModeFiles, before: Snapshot) -> Outcome:
        former = self.world.former(before)
        journal = Journal(self.site.home.journal, list(steps.source), files.mode, shown.hash)
        journal.write()
        self._announce(shown)
        try:
            phases = self._execute(steps, files, journal)
        except (AnvilError, KeyboardInterrupt) as error:
            self._undo(files, journal, before, former, error)
            raise
        journal.finish("complete")
        return Outcome(steps, phases, shown.hash)

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

    def _refuse_interrupted(self, verb: str) -> None:
        cut_off = journals.interrupted(self.site.home.journal)
        if cut_off and verb != "recover":
            raise BusyError(f"an earlier command was cut off ({cut_off})", hint="anvil-ctl recover")

    def _announce(self, shown: Preview) -> None:
        if shown.steps:
            source, target = "+".join(shown.source) or "nothing", shown.target or "nothing"
            text = f"plan {shown.hash}: {source} -> {target}"
            self.report(Event("plan", text, State.DONE))

    def _preview(self, verb: str, steps: Plan, found: Snapshot, files: ModeFiles | None) -> Preview:
        seconds = self.site.history.seconds()
        if files is None:
            return preview(verb, steps, Facts(self.site.config, found.observed, seconds=seconds))
        former = self.world.former(found) if steps.acts else None
        facts = Facts(
            config=self.site.config,
            observed=found.observed,
            goal=goal(self.site, files, self.world.control_hash()),
            files=files,
            ledger=self.site.renderer.ledger(files.mode),
            images=self.world.images(files.mode) if steps.acts else {},
            seconds=seconds,
            way_back=former.mode if former else None,
        )
        return preview(verb, steps, facts)

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


def _refuse(verb: str, steps: Plan, before: Observed) -> None:
    if verb == "up":
        refuse_other_mode(steps)
    if verb == "switch":
        refuse_new_control(steps, before)


def refuse_another_plan(shown: Preview, expected: str | None) -> None:
    """What was printed is what is done, or nothing is. GateError if not."""
    if expected is not None and expected != shown.hash:
        what = " ".join(filter(None, (shown.verb, shown.target)))
        raise GateError(
            f"the plan is {shown.hash} now, not {expected}: what it is made from has changed",
            hint=f"anvil-ctl plan {what}",
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
