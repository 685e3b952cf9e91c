"""connect: how clients reach the live stack."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from anvil_ctl.cli import console


def register(app: typer.Typer) -> None:
    connect = typer.Typer(help="How clients reach the live stack.", no_args_is_help=True)
    connect.callback()(lambda: None)
    connect.command("env")(env)
    app.add_typer(connect, name="connect")


def env(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print shell exports for OpenAI and Anthropic clients: eval "$(anvil-ctl connect env)"."""
    from anvil_ctl import site as sites
    from anvil_ctl.paths import Home

    site = sites.load(Home.from_environ())
    url, token = site.url(site.config.machine.router_port), site.router_token()
    values = {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": token,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": token,
    }
    if as_json:
        console.say_json(values)
    else:
        console.say("\n".join(f"export {name}={shlex.quote(v)}" for name, v in values.items()))
