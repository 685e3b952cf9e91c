"""connect: how clients reach the live stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console

if TYPE_CHECKING:
    from anvil_ctl.clients.facts import Facts
    from anvil_ctl.clients.recipe import Recipe


def register(app: typer.Typer) -> None:
    app.command()(connect)


def connect(
    client: Annotated[
        str | None, typer.Argument(help="claude-code, openai, env ...; nothing lists them.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The preset that the client asks for.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="The router as the client sees it.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Merge into the client's settings; keeps a copy.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--file", help="Another settings file for --write.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how a client reaches the router: eval "$(anvil-ctl connect env)" for a shell."""
    from anvil_ctl.clients import recipe as recipes
    from anvil_ctl.paths import bundle

    templates, facts = bundle() / "templates", _facts(model, url)
    if client is None:
        names = recipes.names(templates)
        titles = {each: recipes.read(templates, each, facts).title for each in names}
        if as_json:
            console.say_json(titles)
        else:
            console.say("\n".join(f"{each:12} {title}" for each, title in titles.items()))
        return
    recipe = recipes.read(templates, client, facts)
    if write:
        _write(recipe, client, file)
    elif as_json:
        console.say_json(_record(recipe, client, facts))
    else:
        console.say(str(recipe))


def _record(recipe: Recipe, client: str, facts: Facts) -> object:
    """A recipe for programs; one that is nothing but variables is just those."""
    if recipe.variables and not recipe.text and not recipe.settings:
        return recipe.variables
    return {
        "client": client,
        "url": facts.url,
        "model": facts.model,
        "context_window": facts.window,
        **recipe.model_dump(mode="json", exclude_defaults=True),
    }


def _write(recipe: Recipe, client: str, file: Path | None) -> None:
    from anvil_ctl import backup
    from anvil_ctl.clients.settings import merged
    from anvil_ctl.config.sources import read_file
    from anvil_ctl.errors import UsageError

    if recipe.settings is None:
        raise UsageError(
            f"--write: {client} has no settings file that this program writes",
            hint=f"anvil-ctl connect {client}",
        )
    path = file or Path(recipe.settings.file).expanduser()
    before = read_file(path) if path.exists() else ""
    after = merged(before, recipe.settings.values, str(path))
    if after == before:
        console.say(f"{path}: has it all already, left as it is")
        return
    # Such files may hold credentials of other providers.
    copy = backup.replace(path, after, mode=0o600)
    console.say(f"wrote {path}" + (f" (before: {copy})" if copy else ""))


def _facts(model: str | None, url: str | None) -> Facts:
    import shlex
    import sys

    from anvil_ctl import site as sites
    from anvil_ctl.clients.facts import Facts, chosen, windows
    from anvil_ctl.paths import Home, default_home

    site = sites.load(Home.from_environ())
    presets = windows(site.config)
    program = Path(sys.executable).with_name("anvil-ctl")
    command = [str(program)] if program.exists() else [sys.executable, "-m", "anvil_ctl"]
    home = [] if site.home.root == default_home() else [f"ANVIL_HOME={site.home.root}"]
    return Facts(
        url=(url or site.url(site.config.machine.router_port)).rstrip("/"),
        model=chosen(presets, model),
        presets=presets,
        token=site.router_token(),
        token_command=shlex.join([*(["env", *home] if home else []), *command, "connect", "token"]),
    )
