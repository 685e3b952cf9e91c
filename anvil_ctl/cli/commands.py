"""commands: what each engine is told, against what its pinned version knows."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson


def register(app: typer.Typer) -> None:
    app.command()(commands)


def commands(
    mode: Annotated[str | None, typer.Option("--mode", help="Only this mode.")] = None,
    as_json: AsJson = False,
) -> None:
    """Each tier's engine command, and its flags that the pinned version does not know.

    Tiers that are off are in the list too. Exit code 1 if there is an unknown flag.
    """
    from dataclasses import asdict

    from anvil_ctl import site
    from anvil_ctl.config.modes import known
    from anvil_ctl.paths import Home

    renderer = site.load(Home.from_environ()).renderer
    modes = [known(mode, "--mode")] if mode else list(renderer.config.modes)
    found = [command for each in modes for command in renderer.commands(each)]
    if as_json:
        console.say_json([asdict(each) for each in found])
    else:
        console.say_table(
            ("engine", "version", "tier", "flags", "unknown", "command"),
            [
                (
                    each.engine,
                    each.version,
                    f"{each.mode}/{each.tier}{'' if each.enabled else ' (off)'}",
                    str(len(each.flags)),
                    " ".join(each.unknown) or "none",
                    " ".join(each.argv),
                )
                for each in found
            ],
        )
    if any(each.unknown for each in found):
        raise typer.Exit(1)
