"""images and pull: bringing in what the containers are made of and what they serve."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    images = typer.Typer(help="The container images.", no_args_is_help=True)
    images.command("build")(build)
    images.command("ls")(list_images)
    images.command("prune")(prune)
    app.add_typer(images, name="images")
    app.command()(pull)


def build() -> None:
    """Bring in every image that the definition needs: pulled where possible, else built."""
    from anvil_ctl.supply import bring_images

    site, docker = installation()
    with console.progress() as report:
        tags = bring_images(site, docker, report)
    for tag in tags:
        console.say(tag)


def prune() -> None:
    """Remove images of ours that no definition here names and no container uses."""
    from anvil_ctl.images import prune as remove

    site, docker = installation()
    gone = remove(docker, site.catalog.values())
    console.say("\n".join(gone) if gone else "nothing to remove")


def list_images(as_json: AsJson = False) -> None:
    """The images that the definition needs, and whether they are here."""

    site, docker = installation()
    rows = [
        {"name": name, "tag": tag, "here": docker.has_image(tag)}
        for name, tag in sorted(site.needed_images().items())
    ]
    if as_json:
        console.say_json(rows)
        return
    console.say_table(
        ("image", "tag", "here"),
        [(str(row["name"]), str(row["tag"]), "yes" if row["here"] else "no") for row in rows],
    )


def pull(
    what: Annotated[str, typer.Argument(help="starter")],
    verify: Annotated[bool, typer.Option("--verify", help="Take checksums again.")] = False,
) -> None:
    """Bring weights into the volume."""
    from anvil_ctl.errors import UsageError
    from anvil_ctl.supply import bring_starter

    if what != "starter":
        raise UsageError(
            f"pull: {what!r} is not known; what can be pulled: starter",
            hint="anvil-ctl pull starter",
        )
    site, docker = installation()
    with console.progress() as report:
        path = bring_starter(site, docker, report, verify=verify)
    console.say(f"{site.config.machine.models_volume}: {path}")
