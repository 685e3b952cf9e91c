"""init: from this machine's cards to a definition, its tokens and its volume, and to doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console
from anvil_ctl.cli.opened import Answering, answering
from anvil_ctl.cli.options import DryRun

if TYPE_CHECKING:
    from anvil_ctl.docker import Docker
    from anvil_ctl.init import Asked, Choices, Texts
    from anvil_ctl.paths import Home
    from anvil_ctl.site import Site


def register(app: typer.Typer) -> None:
    app.command()(init)


def init(
    site: Annotated[
        str | None, typer.Option("--site", help="The site to start from; else the cards decide.")
    ] = None,
    project: Annotated[
        str, typer.Option("--project", help="Name of the Compose project.")
    ] = "anvil",
    port: Annotated[
        int, typer.Option("--port", min=1024, max=65532, help="Router port; the next three too.")
    ] = 8000,
    engine_port: Annotated[
        int, typer.Option("--engine-port", min=1024, max=65000, help="First port of the engines.")
    ] = 30000,
    volume: Annotated[
        str, typer.Option("--volume", help="Volume of the weights.")
    ] = "fakoli-models",
    gpu: Annotated[
        list[str] | None,
        typer.Option("--gpu", help="A card of the site: NAME=UUID[,MIB[,CAPABILITY]]. Repeatable."),
    ] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", help="What the site runs on: linux or wsl2.")
    ] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="Make new tokens.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write anvil.toml anew; the old one is kept as a copy.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Create the volume without asking.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Write anvil.toml for this machine's cards, tokens and the volume; then run doctor.

    What is there is left as it is. Where a site is named whose cards are not in this machine, the
    definition is a plan for another one.
    """
    from anvil_ctl import site as sites
    from anvil_ctl.init import Asked, Choices, parse_gpus, parse_platform
    from anvil_ctl.paths import Home

    home, engine = Home.from_environ(), answering()
    asked = Asked(site, parse_platform(platform), parse_gpus(gpu or []))
    chosen = Choices(project, port, engine_port, volume)
    write(home, engine, asked, chosen, force=force, tokens=tokens, dry_run=dry_run)
    if dry_run:
        _foretell_volume(engine, chosen.models_volume)
        return
    found = sites.load(home)
    if found.config.machine.plan_only:
        _show_plan(found)
    elif engine.docker is None:
        _say_what_is_left_out(found, engine)
    else:
        _see_to_volume(found, engine.docker, yes=yes)
        _check(found)


def write(
    home: Home,
    engine: Answering,
    asked: Asked,
    chosen: Choices,
    *,
    force: bool = False,
    tokens: bool = False,
    dry_run: bool = False,
) -> None:
    """Write the definition and the tokens, unless they are there, and say which it was."""
    from anvil_ctl import init as writing

    wrote = "would write" if dry_run else "wrote"
    if home.config.exists() and not force:
        console.say(f"{home.config} is there: left as it is (--force writes it anew)")
    else:
        texts = _rendered(engine, asked, chosen)
        for done in writing.write_definition(home, texts, force=force, dry_run=dry_run):
            copied = f" (before: {done.copy})" if done.copy else ""
            same = f"{done.path} says just that already: left as it is"
            console.say(f"{wrote} {done.path}{copied}" if done.changed else same)
    if writing.write_tokens(home, renew=tokens, dry_run=dry_run):
        console.say(f"{wrote} new tokens to {home.secrets} (mode 0600)")
    else:
        console.say(f"{home.secrets} has its tokens: left as it is (--tokens makes new ones)")


def _foretell_volume(engine: Answering, name: str) -> None:
    if engine.docker is None:
        console.note(f"not known: whether there is a volume {name}: {engine.problem}")
    elif not engine.docker.volume_exists(name):
        console.say(f"would create the volume {name}")


def _rendered(engine: Answering, asked: Asked, chosen: Choices) -> Texts:
    """The files of the site that is proposed, and why it is that one."""
    from anvil_ctl import init as writing
    from anvil_ctl.hardware import read_cards, read_host
    from anvil_ctl.paths import bundle
    from anvil_ctl.store import read_starter

    sites = writing.read_sites(bundle() / "templates")
    proposed = writing.propose(sites, read_cards(), read_host(engine.info), asked)
    kind = "a plan for another machine, " if proposed.plan_only else ""
    console.say(f"site {proposed.site.name}: {kind}{proposed.why}")
    for each in proposed.notes:
        console.note(f"note: {each}")
    return writing.render_site(proposed, chosen, read_starter(bundle()).path)


def _show_plan(site: Site) -> None:
    """See that every mode renders, which is all there is to do where the cards are not."""
    from anvil_ctl.hardware import read_cards

    for mode in site.config.modes:
        files = site.renderer.mode(mode)
        console.say(f"{mode} renders ({files.hash})")
    cards, machine = read_cards(), site.config.machine
    if all(cards.named(role.gpu_uuid) for role in machine.roles.values() if role.gpu_uuid):
        console.say("its cards are all in this machine")
        console.note("next: anvil-ctl config set machine.plan_only false")
    else:
        console.say("up and switch refuse here: its cards are in another machine")
        console.note(f"next: anvil-ctl render --mode {site.config.active_mode} --out DIR")


def _say_what_is_left_out(site: Site, engine: Answering) -> None:
    volume = site.config.machine.models_volume
    console.note(f"left out: the volume {volume}, and doctor: {engine.problem}")
    console.note("next: anvil-ctl init --yes")


def _see_to_volume(site: Site, docker: Docker, *, yes: bool) -> None:
    from anvil_ctl.init import VolumeState, see_to_volume

    name = site.config.machine.models_volume

    def agree() -> bool:
        console.say(f"there is no volume {name} for the weights, and Compose creates none")
        return yes or console.confirm(f"create the volume {name}?")

    match see_to_volume(docker, name, agree):
        case VolumeState.THERE:
            console.say(f"volume {name} is there: left as it is")
        case VolumeState.CREATED:
            console.say(f"created the volume {name}")
        case VolumeState.LEFT_OUT:
            console.note(f"left out: the volume {name}")
            console.note(f"next: anvil-ctl init --yes, or: docker volume create {name}")


def _check(site: Site) -> None:
    """What doctor says of the mode that is meant: a count, and what to type next."""
    import os

    from anvil_ctl.doctor.gates import before_start

    mode = site.config.active_mode
    findings = before_start(site, mode, os.environ)
    wrong = [each for each in findings if each.status in ("fail", "unknown")]
    console.say(f"doctor: {len(findings) - len(wrong)} of {len(findings)} checks pass for {mode}")
    for remedy in dict.fromkeys(each.remedy for each in wrong if each.remedy):
        console.note(f"next: {remedy}")
