"""The `anvil-ctl` command: its verbs, and the one boundary where errors become exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from anvil_ctl import __version__
from anvil_ctl.cli import (
    ask,
    commands,
    configure,
    connect,
    decisions,
    definition,
    doctor,
    hardware,
    images,
    init,
    inspect,
    judgement,
    models,
    modes,
    quickstart,
    serve,
    swap,
    weights,
)
from anvil_ctl.errors import AnvilError

app = typer.Typer(
    name="anvil-ctl",
    help="Run local language models on a GPU workstation: two modes, one router.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"anvil-ctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version_asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that come before any verb."""


_VERBS = (
    quickstart,
    hardware,
    init,
    definition,
    commands,
    configure,
    images,
    weights,
    models,
    modes,
    swap,
    inspect,
    doctor,
    connect,
    ask,
    judgement,
    decisions,
    serve,
)
for module in _VERBS:
    module.register(app)


def main() -> None:
    """Run the command line; every expected failure ends here, as one line and an exit code."""
    try:
        app()
    except AnvilError as error:
        from anvil_ctl.cli import console

        console.complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; there is no one left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
