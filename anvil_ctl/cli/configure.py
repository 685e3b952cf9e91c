"""config: reading, checking and changing the definition from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.options import AsJson, DryRun

if TYPE_CHECKING:
    from anvil_ctl.config.load import Definition
    from anvil_ctl.paths import Home

Key = Annotated[
    str, typer.Argument(help="With dots; tiers by id: modes.agentic.tiers.starter.slots")
]


def register(app: typer.Typer) -> None:
    config = typer.Typer(help="The definition: read, check and change it.", no_args_is_help=True)
    config.command()(show)
    config.command()(get)
    config.command("set")(set_)
    config.command()(schema)
    config.command()(validate)
    app.add_typer(config, name="config")


def show(as_json: AsJson = False) -> None:
    """Print the definition as it takes effect, defaults filled in; never a secret."""
    from anvil_ctl.config.show import as_text

    _home, definition, tree = _opened()
    if as_json:
        console.say_json(tree)
        return
    for mode, path in definition.sources.files.items():
        console.say(f"# modes.{mode}: {path}")
    console.say(as_text(tree))


def get(key: Key, as_json: AsJson = False) -> None:
    """Print the value of one key, its default where the definition does not say."""
    from anvil_ctl.config import edit
    from anvil_ctl.config.show import as_text

    home, _definition, tree = _opened()
    value = edit.lookup(tree, edit.parse_key(key), str(home.config))
    if as_json:
        console.say_json(value)
    else:
        console.say(as_text(value))


def set_(
    key: Key,
    value: Annotated[str, typer.Argument(help="The new value, of the type that the key has.")],
    dry_run: DryRun = False,
) -> None:
    """Change one key; comments and order stay, and the old file is kept as NAME.bak.N."""
    from anvil_ctl.config.change import change
    from anvil_ctl.paths import Home

    done = change(Home.from_environ().config, key, value, dry_run=dry_run)
    if done.changed and dry_run:
        console.say(f"{done.path}: {key} would be {value}")
        return
    if not done.changed:
        console.say(f"{done.path}: {key} is {value} already: left as it is")
        return
    console.say(f"{done.path}: {key} = {value} (before: {done.copy})")
    console.note("next: anvil-ctl up")


def schema(
    mode_file: Annotated[
        bool, typer.Option("--mode-file", help="The schema of a mode's own file.")
    ] = False,
) -> None:
    """Print the JSON Schema of anvil.toml, for editors."""
    from anvil_ctl.config.schema import json_schema

    console.say_json(json_schema(of_mode_file=mode_file))


def validate() -> None:
    """Check the definition and every mode's file; neither Docker nor engines are asked."""
    home, definition, _tree = _opened()
    config, files = definition.config, definition.sources.files
    for mode, each in config.modes.items():
        console.say(f"{mode}: {len(each.tiers)} tiers, {files.get(mode, home.config)}")
        for idle in config.idle_clouds(mode):
            console.note(f"warning: {mode}: {idle}")
    console.say("valid")


def _opened() -> tuple[Home, Definition, dict[str, object]]:
    """The installation's folder, its definition, and that as plain data without secrets."""
    import os

    from dotenv import dotenv_values

    from anvil_ctl.config.load import open_definition
    from anvil_ctl.config.show import effective
    from anvil_ctl.paths import Home

    home = Home.from_environ()
    definition = open_definition(home.config, os.environ)
    found = dotenv_values(home.secrets, interpolate=False) if home.secrets.is_file() else {}
    secrets = [value for value in found.values() if value]
    return home, definition, effective(definition.config, secrets)
