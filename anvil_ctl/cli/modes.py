"""up, switch, down, recover, plan: the verbs that change what runs, and the one that says how."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation

if TYPE_CHECKING:
    from anvil_ctl.config import Mode
    from anvil_ctl.lifecycle.transition import Outcome, Transition

DrainTimeout = Annotated[
    float, typer.Option("--drain-timeout", min=0, help="Seconds to wait for running answers.")
]
ForceDrain = Annotated[
    bool, typer.Option("--force-drain", help="Cut answers that still run after that time.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")]
Expected = Annotated[
    str | None, typer.Option("--plan", help="Only if the plan still has this hash.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    dry_run: DryRun = False,
    expected: Expected = None,
) -> None:
    """Start a mode, or bring it back to its definition. A no-op where all is as defined."""
    transition, target = _prepare(mode, drain_timeout, force_drain)
    if dry_run:
        console.say(str(transition.preview("up", target)))
    else:
        _carry_out(transition, "up", target, expected)


def switch(
    mode: Annotated[str, typer.Argument(help="agentic or flexibility.")],
    drain_timeout: DrainTimeout = 30,
    force_drain: ForceDrain = False,
    dry_run: DryRun = False,
    expected: Expected = None,
) -> None:
    """Change the live mode; requests wait meanwhile, and a failure restores the old one."""
    transition, target = _prepare(mode, drain_timeout, force_drain)
    if dry_run:
        console.say(str(transition.preview("switch", target)))
    else:
        _carry_out(transition, "switch", target, expected)


def recover() -> None:
    """Finish what a command that was cut off had begun."""
    from anvil_ctl.config.modes import known
    from anvil_ctl.lifecycle.journal import interrupted

    transition, _ = _prepare(None, 30, force_drain=False)
    found = interrupted(transition.site.home.journal)
    if found is None:
        console.say("no command was cut off: nothing to recover")
    elif found.target == "down":
        _stop(transition, None)
    else:
        target = known(found.target, "the journal")
        _carry_out(transition, "recover", target, None)


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
) -> None:
    """Stop and remove all containers of this installation. Volumes are never touched."""
    transition, _ = _prepare(None, drain_timeout, force_drain)
    if dry_run:
        console.say(str(transition.preview("down", None)))
    else:
        _stop(transition, expected)


def _prepare(mode: str | None, drain_timeout: float, force_drain: bool) -> tuple[Transition, Mode]:
    import os

    from anvil_ctl.config import modes
    from anvil_ctl.lifecycle.transition import Transition
    from anvil_ctl.lifecycle.world import Options, RealWorld

    site, docker = installation()
    target = modes.resolve(mode, os.environ, site.config)
    world = RealWorld(site, docker, Options(drain_timeout, force_drain))
    return Transition(site, world), target


def _carry_out(transition: Transition, verb: str, target: Mode, expected: str | None) -> None:
    with console.progress() as report:
        outcome = replace(transition, report=report).run(verb, target, expected)
    _summarise(outcome, target)


def _stop(transition: Transition, expected: str | None) -> None:
    with console.progress() as report:
        outcome = replace(transition, report=report).stop(expected)
    if outcome.phases:
        _summarise(outcome, "nothing")
    else:
        console.say("nothing runs: nothing to do")


def _summarise(outcome: Outcome, now: str) -> None:
    if not outcome.phases:
        console.say(str(outcome.plan))
        return
    rows = [(each.act.op, each.act.target, f"{each.seconds:.2f}") for each in outcome.phases]
    total = sum(each.seconds for each in outcome.phases)
    console.say_table(("phase", "of", "seconds"), [*rows, ("total", "", f"{total:.2f}")])
    source = "+".join(outcome.plan.source) or "nothing"
    console.say(f"live: {now} (was: {source}, plan {outcome.hash})")
