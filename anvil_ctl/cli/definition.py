"""init and render: writing the definition, and what is derived from it."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation


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
    tokens: Annotated[bool, typer.Option("--tokens", help="Make new tokens.")] = False,
) -> None:
    """Write anvil.toml and the tokens, unless they are there."""
    from anvil_ctl import init as writing
    from anvil_ctl.paths import Home, bundle
    from anvil_ctl.store import read_starter

    home, starter = Home.from_environ(), read_starter(bundle()).path
    chosen = writing.Choices(project, port, engine_port, volume)
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
) -> None:
    """Write the Compose files of the modes, or check the definition without writing."""
    import tempfile
    from pathlib import Path

    from anvil_ctl.config.modes import known

    site, docker = installation()
    wanted = [known(mode, "--mode")] if mode else list(site.config.modes)
    for each in wanted:
        files = site.renderer.mode(each)
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "compose.yaml"
            draft.write_text(files.compose, encoding="utf-8")
            docker.project(files.project, draft).check()
        if check:
            console.say(f"{each}: {files.hash} accepted by Compose")
        else:
            site.write_compose(files)
            console.say(f"{each}: {files.hash} {site.compose_file(each)}")
