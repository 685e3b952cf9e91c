"""models: what lies in the volume, looked at, proved and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation
from anvil_ctl.cli.options import AsJson, DryRun

if TYPE_CHECKING:
    from anvil_ctl.models import Models

What = Annotated[str, typer.Argument(help="A path, a source or the end of either, as `ls` has it.")]


def register(app: typer.Typer) -> None:
    models = typer.Typer(help="The weights in the volume.", no_args_is_help=True)
    models.command("ls")(list_models)
    models.command("show")(show)
    models.command("rm")(remove)
    models.command("verify")(verify)
    app.add_typer(models, name="models")


def _opened() -> Models:
    from anvil_ctl.models import Models

    return Models.opened(*installation())


def list_models(as_json: AsJson = False) -> None:
    """Every model: format, size, who can load it and who does."""
    from anvil_ctl.weights.choice import gigabytes

    models = _opened()
    found = models.shelf()
    if as_json:
        console.say_json(found.as_dict())
        return
    console.say_table(
        ("model", "from", "format", "size", "quantization", "engines", "used by", "state"),
        [each.cells() for each in found.rows],
    )
    for each in found.remarks:
        console.note(each)
    console.note(f"{gigabytes(found.free)} free in the volume {models.volume}")


def show(what: What, as_json: AsJson = False) -> None:
    """One model with all that is known of it: files, checksums, facts and users."""
    row = _opened().shelf().one(what)
    if as_json:
        console.say_json(row.as_dict())
        return
    console.say(str(row))


def verify(
    what: Annotated[str | None, typer.Argument(help="One model; all where none is named.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Sizes and headers alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take every checksum again, without the network. Exit code 1 if a file is not what it was."""
    models = _opened()
    with console.progress() as report:
        found = models.verify(what, report, quick=quick)
    if as_json:
        console.say_json([each.as_dict() for each in found])
    else:
        for each in found:
            console.say(str(each))
    if any(each.broken for each in found):
        raise typer.Exit(1)


def remove(
    what: Annotated[str | None, typer.Argument(help="The model, as `ls` has it.")] = None,
    needed: Annotated[
        bool, typer.Option("--needed", help="Even if a tier of this definition needs it.")
    ] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Parts and locks that pulls have left behind.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take a model away. One that a tier needs is refused, unless that is said too."""
    found = _opened().remove(what, needed=needed, orphans=orphans, dry_run=dry_run)
    if as_json:
        console.say_json(found.as_dict())
        return
    console.say(str(found))
