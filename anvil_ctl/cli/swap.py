"""swap: bring in one of the models that share a role."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson, DryRun


def register(app: typer.Typer) -> None:
    app.command()(swap)


def swap(
    model: Annotated[str, typer.Argument(help="A tier that swaps, or its served name.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring in a model that shares its role with others, and wait until it answers.

    It waits its turn as any request does: running answers end first.
    """
    from dataclasses import asdict

    from anvil_ctl import site
    from anvil_ctl.bring_in import bring_in, foretold
    from anvil_ctl.paths import Home

    found = site.load(Home.from_environ())
    if dry_run:
        console.say(foretold(found, model))
        return
    with console.progress() as report:
        done = bring_in(found, model, report)
    if as_json:
        console.say_json(asdict(done))
        return
    if done.swap is None:
        console.say(f"{done.model} was resident already")
        return
    phases = [(each, f"{done.swap[f'{each}_s']:.2f}") for each in ("drain", "stop", "load")]
    console.say_table(("phase", "seconds"), [*phases, ("total", f"{done.waited_s:.2f}")])
    console.say(f"resident: {done.model} (was: {done.swap['from'] or 'nothing'})")
