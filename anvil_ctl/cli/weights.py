"""pull: bringing in what the containers serve."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation


def register(app: typer.Typer) -> None:
    app.command()(pull)


def pull(
    what: Annotated[str, typer.Argument(help="starter")],
    verify: Annotated[bool, typer.Option("--verify", help="Take checksums again.")] = False,
) -> None:
    """Bring weights into the volume."""
    from anvil_ctl.errors import UsageError
    from anvil_ctl.supply import bring_starter

    if what != "starter":
        raise UsageError(
            f"pull: {what!r} is not known; what can be pulled: starter",
            hint="anvil-ctl pull starter",
        )
    site, docker = installation()
    with console.progress() as report:
        path = bring_starter(site, docker, report, verify=verify)
    console.say(f"{site.config.machine.models_volume}: {path}")
