"""up, switch, down, recover, plan: the verbs that change what runs, and the one that says how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.console import Progress
from anvil_ctl.cli.opened import installation
from anvil_ctl.cli.options import AsJson, DryRun

if TYPE_CHECKING:
    from anvil_ctl.config import Mode
    from anvil_ctl.lifecycle.recovery import Recovery
    from anvil_ctl.lifecycle.transition import Outcome, Transition

DrainTimeout = Annotated[
    float, typer.Option("--drain-timeout", min=0, help="Seconds to wait for running answers.")
]
ForceDrain = Annotated[
    bool, typer.Option("--force-drain", help="Cut answers that still run after that time.")
]
Expected = Annotated[
    str | None, typer.Option("--plan", help="Only if the plan still has this hash.")
]
SkipGates = Annotated[
    list[str] | None,
    typer.Option("--skip-gate", metavar="ID", help="Go on though this check fails. Repeatable."),
]
Shown = Annotated[Progress, typer.Option("--progress", help="How progress is shown.")]


_NOTHING_CUT_OFF = "no command was cut off: nothing to recover"


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(switch)
    app.command()(down)
    app.command()(recover)
    app.command()(plan)


def up(
    mode: Annotated[str | None, typer.Option("--mode", help="agentic or flexibility.")] = None,
    drain_timeout: DrainTimeout = 30,
    force_drain: ForceDrain = False,
    skip_gate: SkipGates = None,
    dry_run: DryRun = False,
    expected: Expected = None,
    progress: Shown = Progress.AUTO,
) -> None:
    """Start a mode, or bring it back to its definition. A no-op where all is as defined."""
    transition, target = _prepare(mode, drain_timeout, force_drain, skip_gate or ())
    if dry_run:
        console.say(str(transition.preview("up", target)))
    else:
        _carry_out(transition, "up", target, expected, progress)


def switch(
    mode: Annotated[str, typer.Argument(help="agentic or flexibility.")],
    drain_timeout: DrainTimeout = 30,
    force_drain: ForceDrain = False,
    skip_gate: SkipGates = None,
    dry_run: DryRun = False,
    expected: Expected = None,
    progress: Shown = Progress.AUTO,
) -> None:
    """Change the live mode; requests wait meanwhile, and a failure restores the old one."""
    transition, target = _prepare(mode, drain_timeout, force_drain, skip_gate or ())
    if dry_run:
        console.say(str(transition.preview("switch", target)))
    else:
        _carry_out(transition, "switch", target, expected, progress)


def recover(
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring back what ran before, and do not try to finish.")
    ] = False,
    dry_run: DryRun = False,
    progress: Shown = Progress.AUTO,
) -> None:
    """Finish what a command that was cut off had begun, or take it back where that fails."""
    from anvil_ctl.lifecycle.journal import interrupted
    from anvil_ctl.lifecycle.recovery import Way, recovery

    transition, _ = _prepare(None, 30, force_drain=False)
    found = recovery(interrupted(transition.site.home.journal), undo=undo)
    if dry_run:
        console.say(_foretold(transition, found))
    elif found.way is Way.NONE:
        transition.tidy()
        console.say(_NOTHING_CUT_OFF)
    elif found.way is Way.STOP:
        _stop(transition, None, progress)
    elif found.mode is None:
        _take_back(transition, progress)
    else:
        _bring_up(transition, found, found.mode, progress)


def _foretold(transition: Transition, found: Recovery) -> str:
    from anvil_ctl.lifecycle import former
    from anvil_ctl.lifecycle.recovery import Way

    if found.way is Way.NONE:
        return _NOTHING_CUT_OFF
    if found.way is Way.UNDO:
        before = former.saved(transition.site.home.journal)
        return f"would bring back {before.mode if before else 'nothing'}, as it was"
    verb = "down" if found.way is Way.STOP else "recover"
    return str(transition.preview(verb, found.mode))


def _bring_up(transition: Transition, found: Recovery, mode: Mode, progress: Progress) -> None:
    from anvil_ctl.errors import ConfigError, GateError
    from anvil_ctl.lifecycle.recovery import Way

    try:
        _carry_out(transition, "recover", mode, None, progress)
    except (GateError, ConfigError) as error:
        if found.way is not Way.FINISH:
            raise
        console.note(f"it cannot be finished: {error.message}")
        _take_back(transition, progress)


def _take_back(transition: Transition, progress: Progress) -> None:
    with console.progress(progress) as report:
        live = replace(transition, report=report).undo_interrupted()
    console.say(f"live: {live or 'nothing'}, as before the command that was cut off")


def plan(
    verb: Annotated[str, typer.Argument(help="up, switch or down")],
    mode: Annotated[
        str | None, typer.Argument(help="For switch, and for up where it is not the usual one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a verb would do now, why, on what, and for how long; and the plan's hash."""
    from anvil_ctl.errors import UsageError

    if verb not in ("up", "switch", "down"):
        raise UsageError(f"plan: {verb!r} has no plan; verbs: up, switch, down")
    if (verb, mode is None) in (("switch", True), ("down", False)):
        form = "MODE" if verb == "switch" else "nothing"
        raise UsageError(f"plan {verb} takes {form} after it", hint="anvil-ctl plan switch MODE")
    transition, target = _prepare(mode, 30, force_drain=False)
    found = transition.preview(verb, None if verb == "down" else target)
    if as_json:
        console.say_json(asdict(found))
    else:
        console.say(str(found))


def down(
    drain_timeout: DrainTimeout = 30,
    force_drain: ForceDrain = False,
    dry_run: DryRun = False,
    expected: Expected = None,
    progress: Shown = Progress.AUTO,
) -> None:
    """Stop and remove all containers of this installation. Volumes are never touched."""
    transition, _ = _prepare(None, drain_timeout, force_drain)
    if dry_run:
        console.say(str(transition.preview("down", None)))
    else:
        _stop(transition, expected, progress)


def _prepare(
    mode: str | None, drain_timeout: float, force_drain: bool, skip_gates: Sequence[str] = ()
) -> tuple[Transition, Mode]:
    import os

    from anvil_ctl.config import modes
    from anvil_ctl.lifecycle.transition import Transition
    from anvil_ctl.lifecycle.world import Options, RealWorld

    site, docker = installation()
    target = modes.resolve(mode, os.environ, site.config)
    skipped = tuple(each.upper() for each in skip_gates)
    world = RealWorld(site, docker, Options(drain_timeout, force_drain, skipped))
    return Transition(site, world), target


def _carry_out(
    transition: Transition, verb: str, target: Mode, expected: str | None, progress: Progress
) -> None:
    with console.progress(progress) as report:
        outcome = replace(transition, report=report).run(verb, target, expected)
    _summarise(outcome, target)


def _stop(transition: Transition, expected: str | None, progress: Progress) -> None:
    with console.progress(progress) as report:
        outcome = replace(transition, report=report).stop(expected)
    if outcome.phases:
        _summarise(outcome, "nothing")
    else:
        console.say("nothing runs: nothing to do")


def _summarise(outcome: Outcome, now: str) -> None:
    if not outcome.phases:
        console.say(str(outcome.plan))
        return
    rows = [(p.act.op, p.act.target, f"{p.seconds:.2f}", p.note) for p in outcome.phases]
    total = sum(each.seconds for each in outcome.phases)
    console.say_table(("phase", "of", "seconds", ""), [*rows, ("total", "", f"{total:.2f}", "")])
    source = "+".join(outcome.plan.source) or "nothing"
    console.say(f"live: {now} (was: {source}, plan {outcome.hash})")
    if outcome.evidence:
        console.say(f"proved: {outcome.evidence}")
