"""images: what the containers are made of."""

from __future__ import annotations

from typing import Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import installation
from anvil_ctl.cli.options import AsJson, DryRun


def register(app: typer.Typer) -> None:
    images = typer.Typer(help="The container images.", no_args_is_help=True)
    images.command("build")(build)
    images.command("ls")(list_images)
    images.command("lock")(lock)
    images.command("check")(check)
    images.command("prune")(prune)
    app.add_typer(images, name="images")


def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Images as `images ls` names them.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Bring in every image that the definition needs: pulled where possible, else built."""
    from anvil_ctl.supply import bring_images, wanted

    site, docker = installation()
    if dry_run:
        missing = [each for each in wanted(site, names or ()).values() if not docker.image(each)]
        console.say("\n".join(f"would bring in {each}" for each in missing) or "all are here")
        return
    with console.progress() as report:
        tags = bring_images(site, docker, report, names or ())
    for tag in tags:
        console.say(tag)


def list_images(as_json: AsJson = False) -> None:
    """Every image: what it is, where it comes from, whether it is here, and who runs it."""
    from dataclasses import asdict

    from anvil_ctl.inventory import rows

    site, docker = installation()
    found = rows(site, docker.image)
    if as_json:
        console.say_json([asdict(each) for each in found])
        return
    console.say_table(
        ("image", "from", "here", "reference", "used by"),
        [
            (
                each.name,
                each.origin,
                f"{each.size / 1e6:.0f} MB" if each.present else "no",
                each.reference,
                ", ".join(each.used_by) or "-",
            )
            for each in found
        ],
    )


def lock(
    every: Annotated[
        bool, typer.Option("--all", help="Every engine's images, not only the definition's.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask the registries what published images are now, and run exactly these from now on."""
    from anvil_ctl import imagelock, inventory
    from anvil_ctl.images.registry import DaemonRegistry

    site, docker = installation()
    path = site.home.image_lock
    before = imagelock.read(path)
    found = inventory.resolve(site, DaemonRegistry(docker.endpoint()), every=every)
    after = before.relocked(found, site.published().values())
    if after != before:
        after.write(path)
    if as_json:
        console.say_json({"file": str(path), "images": dict(after.digests)})
        return
    for reference, digest in found.items():
        old = before.digests.get(reference)
        said = "as before" if old == digest else f"was {old}" if old else "new"
        console.say(f"{reference} {digest} ({said})")
    if after != before:
        console.note(f"wrote {path}; next: anvil-ctl images build, then anvil-ctl up")


def check(
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no registry whether tags have moved.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """See that what is locked is here, and say which tags have moved; exit 1 if one is missing."""
    from dataclasses import asdict

    from anvil_ctl import inventory
    from anvil_ctl.images.registry import DaemonRegistry

    site, docker = installation()
    registry = None if offline else DaemonRegistry(docker.endpoint())
    found = inventory.check(site, docker.image, registry)
    ok = all(each.ok for each in found)
    if as_json:
        console.say_json({"ok": ok, "images": [asdict(each) for each in found]})
    else:
        for each in found:
            mark = "no" if not each.ok else "ok" if each.state is inventory.State.OK else "!!"
            console.say(f"{mark}  {each}")
        if not found:
            console.say("nothing to check: every image of the definition is built here")
    if not ok:
        raise typer.Exit(1)


def prune(dry_run: DryRun = False) -> None:
    """Remove images of ours that no definition here names and no container uses."""
    from anvil_ctl.images import prune as remove
    from anvil_ctl.images import unneeded

    site, docker = installation()
    if dry_run:
        found = unneeded(docker, site.catalog.values())
        console.say("\n".join(f"would remove {each}" for each in found) or "nothing to remove")
        return
    gone = remove(docker, site.catalog.values())
    console.say("\n".join(gone) if gone else "nothing to remove")
