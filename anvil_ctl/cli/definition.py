"""init and render: writing the definition, and what is derived from it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from anvil_ctl.cli import console


def register(app: typer.Typer) -> None:
    app.command()(init)
    app.command()(render)


def init(
    site: Annotated[str, typer.Option("--site", help="The site template to start from.")] = "cpu",
    project: Annotated[
        str, typer.Option("--project", help="Name of the Compose project.")
    ] = "anvil",
    port: Annotated[
        int, typer.Option("--port", min=1024, max=65532, help="Router port; the next three too.")
    ] = 8000,
    engine_port: Annotated[
        int, typer.Option("--engine-port", min=1024, max=65000, help="First port of the engines.")
    ] = 30000,
    volume: Annotated[
        str, typer.Option("--volume", help="Volume of the weights.")
    ] = "fakoli-models",
    gpu: Annotated[
        list[str] | None,
        typer.Option("--gpu", help="A card of the site: NAME=UUID[,MIB[,CAPABILITY]]. Repeatable."),
    ] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", help="What the site runs on: linux or wsl2.")
    ] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="Make new tokens.")] = False,
) -> None:
    """Write anvil.toml and the tokens, unless they are there."""
    from anvil_ctl import init as writing
    from anvil_ctl.paths import Home, bundle
    from anvil_ctl.store import read_starter

    home, starter = Home.from_environ(), read_starter(bundle()).path
    chosen = writing.Choices(
        *(project, port, engine_port, volume),
        writing.parse_platform(platform),
        writing.parse_gpus(gpu or []),
    )
    if writing.write_definition(home, bundle() / "templates", site, starter, chosen):
        console.say(f"wrote {home.config} (site {site})")
    else:
        console.say(f"{home.config} is there: left as it is")
    if writing.write_tokens(home, renew=tokens):
        console.say(f"wrote new tokens to {home.secrets} (mode 0600)")


def render(
    mode: Annotated[str | None, typer.Option("--mode", help="Only this mode.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; let Compose check the files.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; show what writing would change.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write every file to this folder instead; needs no Docker."),
    ] = None,
) -> None:
    """Write the Compose files of the modes, or check the definition without writing."""
    from anvil_ctl import rendered, site
    from anvil_ctl.config.modes import known
    from anvil_ctl.errors import UsageError
    from anvil_ctl.paths import Home

    if check and (diff or out):
        raise UsageError("--check goes without --diff and --out: it writes and compares nothing")
    found = site.load(Home.from_environ())
    for each in [known(mode, "--mode")] if mode else list(found.config.modes):
        files = found.renderer.mode(each)
        for tier in found.config.modes[each].tiers:
            if overdue := tier.overdue(date.today()):
                console.note(f"warning: {overdue}")
        for added in found.renderer.additions(each):
            console.note(f"added: {added}")
        for verdict in found.renderer.verdicts(each):
            console.note(f"warning: {verdict}")
        paths = rendered.beside(out, files) if out else rendered.installed(found, files)
        if diff:
            console.say(rendered.diff(paths) or f"{each}: {files.hash} nothing changes")
        elif out:
            rendered.write(paths)
            console.say(f"{each}: {files.hash} {out / files.project}")
        else:
            _checked(files.project, files.compose)
            if check:
                console.note(found.renderer.ledger(each).table())
            else:
                found.write_compose(files)
            done = "accepted by Compose" if check else str(found.compose_file(each))
            console.say(f"{each}: {files.hash} {done}")


def _checked(project: str, compose: str) -> None:
    """See that Compose accepts a file, before it is where anything reads it."""
    import tempfile

    from anvil_ctl.docker import Docker

    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "compose.yaml"
        draft.write_text(compose, encoding="utf-8")
        Docker().project(project, draft).check()
