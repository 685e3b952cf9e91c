"""pull: bringing in what the containers serve."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation
from anvil_ctl.cli.options import AsJson, DryRun


def register(app: typer.Typer) -> None:
    app.command()(pull)


def pull(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help="OWNER/NAME of a model hub, with @REVISION and :QUANT where wanted; a path; "
            "https://...#sha256=...; or starter."
        ),
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", help="Everything that this mode needs.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch, tag or commit; default: as pinned.")
    ] = None,
    quant: Annotated[
        str | None, typer.Option("--quant", help="Which quantization of a GGUF repository.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option("--include", help="Only weights that match; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="No file that matches; repeatable.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Path in the volume, for what is no repository.")
    ] = None,
    dry_run: DryRun = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Take checksums of what is there, too.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for another pull of the same to end.")
    ] = False,
    token_env: Annotated[
        str | None, typer.Option("--token-env", help="Variable that has the hub's token.")
    ] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="Be anonymous.")] = False,
    stall: Annotated[
        float, typer.Option("--stall", min=1, help="Seconds without a byte that end an attempt.")
    ] = 30,
    headroom: Annotated[
        float, typer.Option("--headroom", min=0, help="GB that stay free beside the weights.")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Bring weights into the volume: planned, resumed where it stopped, checked, written down."""
    from anvil_ctl.fetching import Options, Pulling
    from anvil_ctl.store.hub import Terms
    from anvil_ctl.weights.choice import Wish

    site, docker = installation()
    options = Options(
        wish=Wish(quant=quant, include=tuple(include or ()), exclude=tuple(exclude or ())),
        terms=Terms(wait=wait, verify=verify, stall_s=stall, headroom=round(headroom * 1e9)),
        revision=revision,
        to=to,
        token_env=None if no_token else token_env or "HF_TOKEN",
        token_needed=token_env is not None,
    )
    with console.progress() as report:
        pulling = Pulling(site, docker, report, options)
        found = pulling.plan(pulling.wanted(what or (), mode))
        if not dry_run:
            done = pulling.carry_out(found)
    if as_json:
        console.say_json([each.as_dict() for each in (found if dry_run else done)])
        return
    for each in found if dry_run else done:
        console.say(str(each))
