"""ask: one question to the live stack."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson


def register(app: typer.Typer) -> None:
    app.command()(ask)


def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    model: Annotated[str, typer.Option("--model", help="Preset, tier or served name.")] = "chat",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer.")] = 256,
    as_json: AsJson = False,
) -> None:
    """Ask one question through the router and print who answered, and how fast."""
    from dataclasses import asdict

    from anvil_ctl import question as asking
    from anvil_ctl import site as sites
    from anvil_ctl.paths import Home

    answer = asking.ask(sites.load(Home.from_environ()), question, model, max_tokens)
    if as_json:
        console.say_json(asdict(answer))
        return
    console.say(answer.text)
    console.note(
        f"-- tier {answer.tier} ({answer.model}, mode {answer.mode}), {answer.seconds:.2f} s"
    )
