"""Carries out plans as transactions: all of a plan is done, or what ran before runs again."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from anvil_ctl.config import Mode
from anvil_ctl.config.modes import known
from anvil_ctl.errors import AnvilError, NotRestoredError, UsageError
from anvil_ctl.events import Event, Report, State, silent
from anvil_ctl.history import History
from anvil_ctl.lifecycle import evidence, refusals
from anvil_ctl.lifecycle import former as formers
from anvil_ctl.lifecycle import journal as journals
from anvil_ctl.lifecycle.effects import Effects
from anvil_ctl.lifecycle.former import Former
from anvil_ctl.lifecycle.interrupts import deferred
from anvil_ctl.lifecycle.journal import Interrupted, Journal
from anvil_ctl.lifecycle.observe import Snapshot, goal
from anvil_ctl.lifecycle.plan import DEFAULT_S, Act, Observed, Op, Plan, plan, plan_down
from anvil_ctl.lifecycle.preview import Facts, Preview, preview
from anvil_ctl.lifecycle.watch import Watch
from anvil_ctl.lifecycle.world import World
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class Phase:
    """An act that was done, how long it took, and what came of it."""

    act: Act
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transition that succeeded. `hash` is that of the plan as `plan` prints it.

    `evidence` is the file that says what was proved.
    """

    plan: Plan
    phases: tuple[Phase, ...]
    hash: str = ""
    evidence: Path | None = None


def execute(
    steps: Plan, effects: Effects, journal: Journal, history: History, watch: Watch
) -> tuple[Phase, ...]:
    """Perform the acts in order, each journaled before it begins; the first failure ends it."""
    phases: list[Phase] = []
    for act in steps.acts:
        watch.stop()
        began = time.monotonic()
        watch.step = name = act.step(steps.target)
        text = f"{act.op}: {act.target}"
        with (
            journal.act(act.op, act.target) as entry,
            history.step(watch.report, name, text, DEFAULT_S.get(act.op, 0.5)),
        ):
            entry["note"] = note = effects.perform(act)
        phases.append(Phase(act, time.monotonic() - began, note))
    return tuple(phases)


@dataclass(frozen=True, slots=True)
class _Before:
    """What a transition found, and what it goes back to if it fails."""

    found: Snapshot
    former: Former | None


# After none of these is anything other than before, but for the requests that wait.
_HARMLESS = frozenset({str(Op.HOOK), str(Op.HOLD), str(Op.DRAIN)})


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
        cut_off = journals.interrupted(self.site.home.journal)
        steps = self._plan(found, files, cut_off)
        shown = self._preview(verb, steps, found, files)
        try:
            refusals.refuse_plan_only(self.site.config.machine)
            refusals.refuse_interrupted(verb, cut_off)
            refusals.refuse(verb, steps, found.observed)
            if steps.acts:
                self.world.check_gates(files)
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
        refusals.refuse_plan_only(self.site.config.machine)
        folder = self.site.home.journal
        with journals.lock(folder, verb):
            cut_off = journals.interrupted(folder)
            refusals.refuse_interrupted(verb, cut_off)
            files = self.site.renderer.mode(target)
            found = self.world.snapshot()
            steps = self._plan(found, files, cut_off)
            refusals.refuse(verb, steps, found.observed)
            shown = self._preview(verb, steps, found, files)
            refusals.refuse_another_plan(shown, expected)
            if not steps.acts:
                self._put_away()
                return Outcome(steps, (), shown.hash)
            skipped = self.world.check_gates(files)
            before = self._before(found, cut_off)
            formers.save(folder, before.former)
            journals.set_aside(folder, replaced=True)
            source = cut_off.source if cut_off else steps.source
            journal = Journal(folder, list(source), target, shown.hash, skipped=[*skipped])
            return self._transact(shown, steps, files, journal, before)

    def tidy(self) -> None:
        """Put away what a command left that had ended and was killed before it could."""
        folder = self.site.home.journal
        with journals.lock(folder, "recover"):
            if journals.interrupted(folder) is None:
                self._put_away()

    def undo_interrupted(self) -> Mode | None:
        """Take back what a command that was cut off had done; the mode that is live again."""
        folder = self.site.home.journal
        with journals.lock(folder, "recover"):
            cut_off = journals.interrupted(folder)
            if cut_off is None:
                raise UsageError("no command was cut off: there is nothing to undo")
            former, target = formers.saved(folder), known(cut_off.target, "the journal")
            journal = Journal(folder, list(cut_off.source), target)
            begun = _Before(_as_it_was(self.world.snapshot(), cut_off.source), former)
            cause = AnvilError("a command was cut off")
            self._undo(target, journal, begun, cause, whole=True)
            return former.mode if former else None

    def stop(self, expected: str | None = None) -> Outcome:
        """Stop engines and control project, in order, and keep every volume."""
        folder = self.site.home.journal
        with journals.lock(folder, "down"):
            before = self.world.snapshot()
            steps = plan_down(before.observed)
            shown = self._preview("down", steps, before, None)
            refusals.refuse_another_plan(shown, expected)
            journals.set_aside(folder)
            journal = Journal(folder, list(steps.source), "down", shown.hash)
            self._announce(shown)
            with deferred(self.report) as interrupts:
                watch = Watch(self.report, interrupts.stop)
                effects = self.world.effects(None, watch)
                try:
                    phases = execute(steps, effects, journal, self.site.history, watch)
                except AnvilError as error:
                    self.world.readmit()
                    journal.finish("failed", str(error))
                    raise
            journal.finish("complete")
            formers.forget(folder)
            return Outcome(steps, phases, shown.hash)

    def _transact(
        self, shown: Preview, steps: Plan, files: ModeFiles, journal: Journal, before: _Before
    ) -> Outcome:
        self._announce(shown)
        for each in journal.skipped:
            self.report(Event("gates", f"gate skipped, as told: {each}", State.WARNING))
        with deferred(self.report) as interrupts:
            watch = Watch(
                self.report, interrupts.stop, shown.wait_s or None, source="+".join(steps.source)
            )
            try:
                journal.write()
                effects = self.world.effects(files, watch)
                phases = execute(steps, effects, journal, self.site.history, watch)
                proved = self._prove(shown, files, journal, phases, watch)
            except AnvilError as error:
                self._undo(files.mode, journal, before, error)
                raise
            except Exception as error:
                # Whatever it is, a full disk or a fault of our own: nobody is left with nothing.
                self._undo(files.mode, journal, before, error)
                raise AnvilError(
                    f"{type(error).__name__}: {error}", hint="anvil-ctl doctor"
                ) from error
        try:
            journal.finish("complete")
        except OSError as error:
            # The mode serves and is proved; `recover` will find nothing to do.
            self.report(Event("journal", f"the journal was not closed: {error}", State.WARNING))
        formers.forget(journal.folder)
        return Outcome(steps, phases, shown.hash, proved)

    def _prove(
        self,
        shown: Preview,
        files: ModeFiles,
        journal: Journal,
        phases: tuple[Phase, ...],
        watch: Watch,
    ) -> Path:
        facts = evidence.Facts(
            config=self.site.config,
            engines=self.site.renderer.engines,
            files=files,
            images={each.reference: each.id for each in shown.images},
            source=shown.source,
            plan=shown.hash,
            control_hash=self.world.control_hash(),
            phases=[(str(p.act.op), p.act.target, p.seconds, p.note) for p in phases],
            canaries=watch.canaries,
            skipped=journal.skipped,
        )
        return evidence.write(self.site.home.evidence, evidence.record(facts, time.time()))

    def _before(self, found: Snapshot, cut_off: Interrupted | None) -> _Before:
        """What a failure leads back to: after a killed command what that had found, not its wreck.

        Where that cannot be read, what is found now has to do.
        """
        if cut_off is not None:
            with contextlib.suppress(AnvilError):
                former = formers.saved(self.site.home.journal)
                return _Before(_as_it_was(found, cut_off.source), former)
        return _Before(found, self.world.former(found))

    def _undo(
        self,
        failed: Mode,
        journal: Journal,
        before: _Before,
        cause: Exception,
        *,
        whole: bool = False,
    ) -> None:
        """Restore what ran before the failed plan; NotRestoredError if that fails too.

        Where no act of the journal has changed anything, what waits goes on and that is all,
        unless the `whole` is to be restored because another command did the acts.
        """
        said = str(cause) or type(cause).__name__
        journal.undoing(said)
        self.report(Event("undo", f"failed: {said}; restoring what was", State.WARNING))
        try:
            if not whole and {str(entry["op"]) for entry in journal.acts} <= _HARMLESS:
                self.world.readmit()
            else:
                self._restore(failed, before)
        except (AnvilError, OSError) as second:
            with contextlib.suppress(OSError):
                journal.finish("failed", f"{said}; then: {second}")
            raise NotRestoredError(
                f"{said}; and what ran before could not be restored: {second}",
                hint=f"anvil-ctl status; anvil-ctl up --mode {failed}; anvil-ctl down",
            ) from cause
        with contextlib.suppress(OSError):
            journal.finish("rolled_back", said)
        formers.forget(journal.folder)

    def _restore(self, failed: Mode, before: _Before) -> None:
        self.world.await_docker()
        self.world.keep_logs(failed)
        if before.former is not None:
            self.world.reinstate(before.former, failed)
        else:
            self._remove_new(failed, before.found.observed)

    def _remove_new(self, failed: Mode, before: Observed) -> None:
        """Nothing answered before: leave behind nothing that was not there."""
        effects = self.world.effects(None, Watch(self.report))
        if failed not in before.modes:
            effects.perform(Act(Op.DOWN, failed, "its start failed"))
        if not before.control_exists:
            effects.perform(Act(Op.STOP, "router, multiplexer, guard", "the start failed"))

    def _put_away(self) -> None:
        journals.set_aside(self.site.home.journal)
        formers.forget(self.site.home.journal)

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

    def _plan(self, found: Snapshot, files: ModeFiles, cut_off: Interrupted | None) -> Plan:
        control, hooks = self.world.control_hash(), self.world.hooks()
        wanted = goal(self.site, files, control, hooks)
        return plan(found.observed, wanted, proved=cut_off is None)


def _as_it_was(found: Snapshot, source: tuple[str, ...]) -> Snapshot:
    """What a command had found that was cut off, as far as its journal says: the modes of then."""
    tiers = {mode: each for mode, each in found.observed.tiers.items() if mode in source}
    observed = replace(found.observed, tiers=tiers, control_exists=bool(source))
    return replace(found, observed=observed)
