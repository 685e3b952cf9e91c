"""connect: how clients reach the live stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson

if TYPE_CHECKING:
    from anvil_ctl.clients.facts import Facts
    from anvil_ctl.clients.recipe import Recipe
    from anvil_ctl.site import Site


def register(app: typer.Typer) -> None:
    app.command()(connect)


def connect(
    client: Annotated[
        str | None, typer.Argument(help="claude-code, openai, env ...; nothing lists them.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The preset that the client asks for.")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option("--mode", help="Whose windows: a mode, or any; else that of the live one."),
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
    as_json: AsJson = False,
) -> None:
    """Print how a client reaches the router: eval "$(anvil-ctl connect env)" for a shell."""
    from anvil_ctl import site as sites
    from anvil_ctl.clients import local
    from anvil_ctl.clients import recipe as recipes
    from anvil_ctl.paths import Home, bundle

    templates = bundle() / "templates"
    site = sites.load(Home.from_environ())
    facts = local.facts(site, model, url, mode, live=None if mode else _live_mode(site))
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


def _live_mode(site: Site) -> str | None:
    """The mode that the router serves; None where it does not answer."""
    from anvil_ctl.lifecycle.observe import router_admin

    said = (router_admin(site).status() or {}).get("mode")
    return None if said is None else str(said)


def _record(recipe: Recipe, client: str, facts: Facts) -> object:
    """A recipe for programs; one that is nothing but variables is just those."""
    if recipe.variables and not recipe.text and not recipe.settings:
        return recipe.variables
    return {
        "client": client,
        "url": facts.url,
        "model": facts.model,
        "context_window": facts.window,
        "mode": facts.mode,
        **recipe.model_dump(mode="json", exclude_defaults=True),
    }


def _write(recipe: Recipe, client: str, file: Path | None) -> None:
    from anvil_ctl.clients import local
    from anvil_ctl.errors import UsageError

    if recipe.settings is None:
        raise UsageError(
            f"--write: {client} has no settings file that this program writes",
            hint=f"anvil-ctl connect {client}",
        )
    done = local.write(recipe.settings, file)
    if not done.changed:
        console.say(f"{done.path}: has it all already, left as it is")
        return
    console.say(f"wrote {done.path}" + (f" (before: {done.copy})" if done.copy else ""))
