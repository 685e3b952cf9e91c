"""quickstart: from nothing to an answer. What `make up` runs."""

from __future__ import annotations

import os
import shutil
import sys

import typer

from anvil_ctl.cli import console, images, init, modes, weights
from anvil_ctl.cli.opened import answering, installation

QUESTION = "What is the capital of France? Answer in one sentence."


def register(app: typer.Typer) -> None:
    app.command()(quickstart)


def quickstart() -> None:
    """Bring everything in, start the agentic mode and ask it one question.

    Where there is no definition yet, it is one for the processor: its model is at hand. Where
    another mode is live, it stays, and is the one that is asked.
    """
    from anvil_ctl.init import Asked, Choices
    from anvil_ctl.lifecycle.observe import snapshot
    from anvil_ctl.lifecycle.refusals import refuse_plan_only
    from anvil_ctl.paths import Home
    from anvil_ctl.question import ask

    if not (home := Home.from_environ()).config.exists() or not home.secrets.exists():
        init.write(home, answering(), Asked(site="cpu"), Choices())
    refuse_plan_only(installation()[0].config.machine)
    images.build()
    weights.pull(["starter"])
    site, docker = installation()
    live = snapshot(site, docker).observed.modes
    modes.up(mode=live[0] if len(live) == 1 else "agentic")
    answer = ask(site, QUESTION)
    console.say(f"\nasked:    {QUESTION}")
    console.say(f"answered: {answer.text}")
    console.say(
        f"by tier {answer.tier} ({answer.model}, mode {answer.mode}) in {answer.seconds:.2f} s"
    )
    console.say(f'\nfor your clients: eval "$({_typed()} connect env)"')


def _typed() -> str:
    """How this program is called from here."""
    return "anvil-ctl" if shutil.which("anvil-ctl") else os.path.relpath(sys.argv[0])
