"""render: what is derived from the definition."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anvil_ctl.cli import console

if TYPE_CHECKING:
    from anvil_ctl.config import Mode
    from anvil_ctl.site import Site


def register(app: typer.Typer) -> None:
    app.command()(render)


def render(
    mode: Annotated[str | None, typer.Option("--mode", help="Only this mode.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; let Compose check the files.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; show what writing would change.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write every file to this folder instead; needs no Docker."),
    ] = None,
) -> None:
    """Write the Compose files of the modes, or check the definition without writing."""
    from anvil_ctl import rendered, site
    from anvil_ctl.config.modes import known
    from anvil_ctl.errors import UsageError
    from anvil_ctl.paths import Home

    if check and (diff or out):
        raise UsageError("--check goes without --diff and --out: it writes and compares nothing")
    found = site.load(Home.from_environ())
    for each in [known(mode, "--mode")] if mode else list(found.config.modes):
        files = found.renderer.mode(each)
        for note in _notes(found, each):
            console.note(note)
        paths = rendered.beside(out, files) if out else rendered.installed(found, files)
        if diff:
            console.say(rendered.diff(paths) or f"{each}: {files.hash} nothing changes")
        elif out:
            rendered.write(paths)
            console.say(f"{each}: {files.hash} {out / files.project}")
        else:
            _checked(files.project, files.compose)
            if check:
                console.note(found.renderer.ledger(each).table())
            else:
                found.write_compose(files)
            done = "accepted by Compose" if check else str(found.compose_file(each))
            console.say(f"{each}: {files.hash} {done}")


def _notes(found: Site, mode: Mode) -> Iterator[str]:
    """What to say of a mode that renders all the same."""
    for tier in found.config.modes[mode].tiers:
        if overdue := tier.overdue(date.today()):
            yield f"warning: {overdue}"
    yield from (f"warning: {mode}: {idle}" for idle in found.config.idle_clouds(mode))
    yield from (f"added: {added}" for added in found.renderer.additions(mode))
    yield from (f"warning: {verdict}" for verdict in found.renderer.verdicts(mode))


def _checked(project: str, compose: str) -> None:
    """See that Compose accepts a file, before it is where anything reads it."""
    import tempfile

    from anvil_ctl.docker import Docker

    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "compose.yaml"
        draft.write_text(compose, encoding="utf-8")
        Docker().project(project, draft).check()
