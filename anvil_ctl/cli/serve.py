"""router serve and multiplexer serve: the containers' entry points, on the host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
AdminHost = Annotated[str, typer.Option("--admin-host", help="Address of the admin port.")]


def register(app: typer.Typer) -> None:
    for name, text, verb in (
        ("router", "The router, without containers.", router),
        ("multiplexer", "The multiplexer, without containers.", multiplexer),
    ):
        group = typer.Typer(help=text, no_args_is_help=True)
        group.callback()(lambda: None)
        group.command("serve")(verb)
        app.add_typer(group, name=name)


def router(
    config: Annotated[Path, typer.Option("--config", help="The router's TOML file.")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port of the clients.")] = 8000,
    admin_host: AdminHost = "127.0.0.1",
    admin_port: Annotated[int, typer.Option("--admin-port", help="Port of admin verbs.")] = 8001,
) -> None:
    """Serve the router in this process until it is told to stop."""
    from anvil_ctl.router.serve import main

    raise typer.Exit(main(config, host, port, admin_host, admin_port))


def multiplexer(
    registry: Annotated[Path, typer.Option("--registry", help="The multiplexer's JSON file.")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port of the clients.")] = 8002,
    admin_host: AdminHost = "127.0.0.1",
    admin_port: Annotated[int, typer.Option("--admin-port", help="Port of admin verbs.")] = 8003,
    docker: Annotated[
        str, typer.Option("--docker", envvar="ANVIL_DOCKER", help="The Docker API.")
    ] = "unix:///var/run/docker.sock",
) -> None:
    """Serve the multiplexer in this process until it is told to stop."""
    from anvil_ctl.multiplexer.serve import main

    raise typer.Exit(main(registry, host, port, admin_host, admin_port, docker))
