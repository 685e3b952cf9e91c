"""The effects behind `connect`: what this installation is, and writing a client's settings."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl import backup
from anvil_ctl.clients.facts import Facts, chosen, mode_of, told, windows
from anvil_ctl.clients.recipe import Settings
from anvil_ctl.clients.settings import merged
from anvil_ctl.config.sources import read_file
from anvil_ctl.paths import default_home
from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class Written:
    """A settings file, whether it was written, and the copy of what it was."""

    path: Path
    changed: bool
    copy: Path | None = None


def facts(
    site: Site,
    model: str | None,
    url: str | None,
    mode: str | None = None,
    live: str | None = None,
) -> Facts:
    """What clients are told of an installation, with the windows of the live mode or of another.

    `mode` is the one asked for, `live` what the router says. UsageError if `model` is no preset, or
    `mode` neither a mode nor `any`.
    """
    of = mode_of(mode, live)
    presets = windows(site.config, of)
    preset = chosen(presets, model)
    return Facts(
        url=(url or site.url(site.config.machine.router_port)).rstrip("/"),
        model=preset,
        presets=presets,
        token=site.router_token(),
        token_command=_token_command(site),
        told=told(site.config, preset, of, live=of == live),
        mode=of,
    )


def write(settings: Settings, file: Path | None) -> Written:
    """Merge into `file`, or the client's usual one; ConfigError if that cannot be done."""
    path = file or Path(settings.file).expanduser()
    before = read_file(path) if path.exists() else ""
    after = merged(before, settings.values, str(path))
    if after == before:
        return Written(path, changed=False)
    # Such files may hold credentials of other providers.
    return Written(path, changed=True, copy=backup.replace(path, after, mode=0o600))


def _token_command(site: Site) -> str:
    """A shell command that works from any folder, without the virtual environment."""
    program = Path(sys.executable).with_name("anvil-ctl")
    command = [str(program)] if program.exists() else [sys.executable, "-m", "anvil_ctl"]
    usual = site.home.root == default_home()
    home = [] if usual else ["env", f"ANVIL_HOME={site.home.root}"]
    return shlex.join([*home, *command, "connect", "token"])
