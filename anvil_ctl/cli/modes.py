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
) -> None:
    """Start a mode, or bring it back to its definition. A no-op where all is as defined."""
    transition, target = _prepare(mode, drain_timeout, force_drain)
    if dry_run:
        _show_plan(transition, target, as_json=False)
    else:
        _carry_out(transition, "up", target)


def switch(
    mode: Annotated[str, typer.Argument(help="agentic or flexibility.")],
    drain_timeout: DrainTimeout = 30,
    force_drain: ForceDrain = False,
    dry_run: DryRun = False,
) -> None:
    """Change the live mode; requests wait meanwhile, and a failure restores the old one."""
    transition, target = _prepare(mode, drain_timeout, force_drain)
    if dry_run:
        _show_plan(transition, target, as_json=False)
    else:
        _carry_out(transition, "switch", target)


def recover() -> None:
    """Finish what a command that was cut off had begun."""
    from anvil_ctl.config.modes import known
    from anvil_ctl.lifecycle.journal import interrupted

    transition, _ = _prepare(None, 30, force_drain=False)
    found = interrupted(transition.site.home.journal)
    if found is None:
        console.say("no command was cut off: nothing to recover")
    elif found.target == "down":
        _stop(transition)
    else:
        target = known(found.target, "the journal")
        _carry_out(transition, "recover", target)


def plan(
    verb: Annotated[str, typer.Argument(help="switch")],
    mode: Annotated[str, typer.Argument(help="agentic or flexibility.")],
    as_json: AsJson = False,
) -> None:
    """Print what a verb would do now, and why."""
    from anvil_ctl.errors import UsageError

    if verb not in ("switch", "up"):
        raise UsageError(f"plan: {verb!r} has no plan; verbs: switch, up")
    transition, target = _prepare(mode, 30, force_drain=False)
    _show_plan(transition, target, as_json)


def down(
    drain_timeout: DrainTimeout = 30,
    force_drain: ForceDrain = False,
) -> None:
    """Stop and remove all containers of this installation. Volumes are never touched."""
    transition, _ = _prepare(None, drain_timeout, force_drain)
    _stop(transition)


def _prepare(mode: str | None, drain_timeout: float, force_drain: bool) -> tuple[Transition, Mode]:
    import os

    from anvil_ctl.config import modes
    from anvil_ctl.lifecycle.transition import Transition
    from anvil_ctl.lifecycle.world import Options, RealWorld

    site, docker = installation()
    target = modes.resolve(mode, os.environ, site.config)
    world = RealWorld(site, docker, Options(drain_timeout, force_drain))
    return Transition(site, world), target


def _carry_out(transition: Transition, verb: str, target: Mode) -> None:
    with console.progress() as report:
        outcome = replace(transition, report=report).run(verb, target)
    _summarise(outcome, target)


def _stop(transition: Transition) -> None:
    with console.progress() as report:
        outcome = replace(transition, report=report).stop()
    if outcome.phases:
        _summarise(outcome, "nothing")
    else:
        console.say("nothing runs: nothing to do")


def _show_plan(transition: Transition, target: Mode, as_json: bool) -> None:
    found = transition.preview(target)
    if as_json:
        console.say_json(asdict(found))
    else:
        console.say(str(found))


def _summarise(outcome: Outcome, now: str) -> None:
    if not outcome.phases:
        console.say(str(outcome.plan))
        return
    rows = [(each.act.op, each.act.target, f"{each.seconds:.2f}") for each in outcome.phases]
    total = sum(each.seconds for each in outcome.phases)
    console.say_table(("phase", "of", "seconds"), [*rows, ("total", "", f"{total:.2f}")])
    source = "+".join(outcome.plan.source) or "nothing"
    console.say(f"live: {now} (was: {source})")
