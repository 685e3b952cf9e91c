"""`anvil-ctl init`: writes a definition from a site template, and the tokens beside it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from anvil_ctl import config
from anvil_ctl.errors import UsageError
from anvil_ctl.history import write_atomically
from anvil_ctl.paths import Home
from anvil_ctl.renderer import environment

TOKENS = ("ANVIL_ROUTER_TOKEN", "ANVIL_ADMIN_TOKEN")


@dataclass(frozen=True, slots=True)
class Choices:
    """What a site template is filled in with."""

    project: str = "anvil"
    port: int = 8000
    engine_port: int = 30000
    models_volume: str = "fakoli-models"


def write_definition(home: Home, templates: Path, site: str, starter: str, chosen: Choices) -> bool:
    """Write anvil.toml from the site template, unless there is one; whether it was written.

    UsageError if there is no such site; ConfigError if the choices do not make a valid definition.
    """
    if home.config.exists():
        return False
    template = templates / "sites" / f"{site}.toml.j2"
    if not template.is_file():
        known = ", ".join(sorted(each.name.split(".")[0] for each in template.parent.glob("*.j2")))
        raise UsageError(f"--site: {site!r} is not a site; sites: {known}")
    text = (
        environment()
        .from_string(template.read_text(encoding="utf-8"))
        .render(
            project=chosen.project,
            port=chosen.port,
            engine_port=chosen.engine_port,
            models_volume=chosen.models_volume,
            starter=starter,
        )
    )
    config.parse(text + "\n", home.config)
    make_home(home)
    write_atomically(home.config, text + "\n")
    return True


def write_tokens(home: Home, *, renew: bool) -> bool:
    """See that every token is in .env, mode 0600; with `renew` all are made anew.

    Whether anything was written. Other variables in the file are kept.
    """
    known = dotenv_values(home.secrets, interpolate=False) if home.secrets.is_file() else {}
    missing = [name for name in TOKENS if renew or not known.get(name)]
    if not missing:
        return False
    values = known | {name: secrets.token_urlsafe(32) for name in missing}
    make_home(home)
    text = "".join(f"{name}='{value or ''}'\n" for name, value in values.items())
    write_atomically(home.secrets, "# Secrets of this installation.\n" + text, mode=0o600)
    return True


def make_home(home: Home) -> None:
    """The user's folder holds secrets: it is theirs alone."""
    home.root.mkdir(parents=True, exist_ok=True)
    home.root.chmod(0o700)
