"""status, logs: looking without touching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation
from anvil_ctl.cli.options import AsJson

if TYPE_CHECKING:
    from anvil_ctl.config import Mode, Tier


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(logs)


def status(as_json: AsJson = False) -> None:
    """The live mode and each tier."""
    import os
    from dataclasses import asdict

    from anvil_ctl.config import modes
    from anvil_ctl.lifecycle import engines
    from anvil_ctl.lifecycle.engines import Endpoint
    from anvil_ctl.lifecycle.observe import snapshot
    from anvil_ctl.lifecycle.status import status as read

    site, docker = installation()

    def answering(_mode: Mode, tier: Tier) -> bool:
        endpoint = Endpoint(tier.id, site.url(tier.port), tier.served_name, tier.dialect)
        return engines.answering(endpoint, site.renderer.engines[tier.engine].file.health_path)

    requested = modes.resolve(None, os.environ, site.config)
    found = read(site, snapshot(site, docker), answering, requested)
    if as_json:
        console.say_json(asdict(found) | {"healthy": found.healthy})
        return
    console.say(f"mode: {found.mode or 'none live'}" + ("  (requests held)" if found.held else ""))
    if found.mode and found.mode != requested:
        console.say(f"asked for where no mode is named: {requested}")
    console.say("control: " + ", ".join(f"{name} {state}" for name, state in found.control.items()))
    console.say_table(
        ("tier", "engine", "model", "state", "role shared", "resident"),
        [
            (
                tier.id,
                tier.engine,
                tier.model,
                tier.state,
                tier.swap_group or "-",
                "yes" if tier.resident else "no",
            )
            for tier in found.tiers
        ],
    )
    for role, text in found.roles.items():
        console.say(f"role {role}: {text}")
    if found.clouds:
        heads = ("cloud", "model", "state")
        console.say_table(heads, [(each.id, each.model, each.state) for each in found.clouds])
        console.say(f"clouds may be asked for: {', '.join(found.metered_cloud) or 'nothing'}")
    if found.disagreement:
        console.note(found.disagreement)


def logs(
    services: Annotated[
        list[str] | None, typer.Argument(help="Tiers, or router, multiplexer, guard.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    tail: Annotated[int, typer.Option("--tail", min=0, help="Lines from the end.")] = 100,
) -> None:
    """What the containers wrote."""
    from anvil_ctl.lifecycle.observe import snapshot
    from anvil_ctl.lifecycle.projects import projects_of

    site, docker = installation()
    modes = snapshot(site, docker).observed.modes
    for project, wanted in projects_of(site, docker, modes, services or []):
        for line in project.logs(wanted, tail, follow):
            console.raw(line)
