"""Writes anvil.toml from a site's template."""

from __future__ import annotations

from dataclasses import dataclass
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


def render_site(proposed: Proposal, chosen: Choices, starter: str) -> str:
    """The text of the definition. `starter` is the starter model's path in the volume."""
    values = {
        "project": chosen.project,
        "port": chosen.port,
        "engine_port": chosen.engine_port,
        "models_volume": chosen.models_volume,
        "platform": proposed.platform,
        "ram_mib": proposed.ram_mib,
        "plan_only": proposed.plan_only,
        "gpus": proposed.gpus,
    }
    jinja = environment()
    machine = jinja.from_string(proposed.site.machine).render(values)
    whole = jinja.from_string(proposed.site.text)
    return whole.render(values, machine=machine.strip(), starter=starter) + "\n"


def write_definition(home: Home, text: str, *, force: bool = False) -> Written:
    """Write anvil.toml unless there is one; with `force` replace it, and keep a numbered copy.

    ConfigError, with nothing written, if the text is no valid definition.
    """
    path = home.config
    if path.exists() and not force:
        return Written(path, changed=False)
    config.parse(text, path)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return Written(path, changed=False)
    home.make()
    return Written(path, changed=True, copy=backup.replace(path, text))
