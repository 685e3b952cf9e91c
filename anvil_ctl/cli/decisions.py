"""decisions: what the router decided, line by line and added up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="What the router decided.")
    group.command("ls")(ls)
    group.command("metrics")(metrics)
    app.add_typer(group, name="decisions")


def ls(
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The last decisions, a line each, the newest last. With --json the whole records."""
    from anvil_ctl import decision
    from anvil_ctl import site as sites
    from anvil_ctl.paths import Home
    from anvil_ctl.router import audit

    found = decision.recent(sites.load(Home.from_environ()), limit)[::-1]
    if as_json:
        console.say_json(found)
        return
    for record in found:
        console.say(audit.line(record))


def metrics(
    file: Annotated[
        Path | None, typer.Argument(help="A log of decisions; without it the live router's.")
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="The share of wrong local answers not to reach.")
    ] = 0.01,
    as_json: AsJson = False,
) -> None:
    """How much local tiers answered, and how much of that was wrong, by class of work.

    An answer counts as wrong where its line says so: "ground_truth": "fail", or "silent_failure":
    true. Exit code 1 if a class or all together reach the threshold, 2 if there is nothing to read.
    """
    from anvil_ctl import acceptance

    acceptance.threshold_of(threshold)
    name, data = _log(file)
    found = acceptance.report(acceptance.read(data.split(b"\n"), name), threshold)
    if as_json:
        console.say_json(found.as_json())
    else:
        console.say_table(acceptance.HEADS, list(found.rows()))
        console.say(f"modes: {', '.join(found.modes) or '-'}")
        for each in found.breaches:
            console.say(f"{each}: at or over the threshold of {threshold:.2%}")
    if not found.gate_passed:
        raise typer.Exit(1)


def _log(file: Path | None) -> tuple[str, bytes]:
    """A log's name and what is in it; UsageError where it can't be had."""
    from anvil_ctl.errors import AnvilError, UsageError

    if file is not None:
        try:
            return str(file), file.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from error
    from anvil_ctl import site as sites
    from anvil_ctl.lifecycle.observe import router_admin
    from anvil_ctl.paths import Home

    try:
        return "decisions.jsonl", router_admin(sites.load(Home.from_environ())).decisions()
    except AnvilError as error:
        # Exit code 1 is for what was read and found wanting.
        raise UsageError(error.message, hint=error.hint) from error
