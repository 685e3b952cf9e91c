"""Writes a definition from a site's templates: anvil.toml, and modes that have own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anvil_ctl import backup, config
from anvil_ctl.init.choices import Choices
from anvil_ctl.init.propose import Proposal
from anvil_ctl.paths import Home
from anvil_ctl.templating import environment


@dataclass(frozen=True, slots=True)
class Written:
    """A definition's file, whether it was written, and the copy of what it was."""

    path: Path
    changed: bool
    copy: Path | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """A definition as text. `modes` are the files beside anvil.toml, by name."""

    main: str
    modes: Mapping[str, str] = field(default_factory=dict)


def render_site(proposed: Proposal, chosen: Choices, starter: str) -> Texts:
    """The texts of the definition. `starter` is the starter model's path in the volume."""
    values = {
        "project": chosen.project,
        "port": chosen.port,
        "engine_port": chosen.engine_port,
        "models_volume": chosen.models_volume,
        "platform": proposed.platform,
        "ram_mib": proposed.ram_mib,
        "plan_only": proposed.plan_only,
        "gpus": proposed.gpus,
        "starter": starter,
    }
    jinja = environment()
    machine = jinja.from_string(proposed.site.machine).render(values)
    main = jinja.from_string(proposed.site.text).render(values, machine=machine.strip())
    return Texts(
        f"{main}\n",
        {
            name: jinja.from_string(text).render(values) + "\n"
            for name, text in proposed.site.modes.items()
        },
    )


def write_definition(
    home: Home, texts: Texts, *, force: bool = False, dry_run: bool = False
) -> list[Written]:
    """Write anvil.toml and its modes' files unless there is one; with `force` replace them.

    What was there is kept as a numbered copy. `dry_run`: only say what would be. ConfigError, with
    nothing written, if the texts are no valid definition.
    """
    path = home.config
    if path.exists() and not force:
        return [Written(path, changed=False)]
    config.parse(texts.main, path, texts.modes)
    if not dry_run:
        home.make()
    # anvil.toml last: it names the others.
    wanted = {path.with_name(name): text for name, text in texts.modes.items()}
    files = {**wanted, path: texts.main}
    return [_write(path, text, dry_run=dry_run) for path, text in files.items()]


def _write(path: Path, text: str, *, dry_run: bool) -> Written:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return Written(path, changed=False)
    if dry_run:
        return Written(path, changed=True)
    return Written(path, changed=True, copy=backup.replace(path, text))
