"""The tokens of an installation, in its .env."""

from __future__ import annotations

import secrets

from dotenv import dotenv_values

from anvil_ctl.history import write_atomically
from anvil_ctl.paths import Home

TOKENS = ("ANVIL_ROUTER_TOKEN", "ANVIL_ADMIN_TOKEN")


def missing_tokens(home: Home, *, renew: bool) -> list[str]:
    """The tokens that `write_tokens` would make."""
    known = _known(home)
    return [name for name in TOKENS if renew or not known.get(name)]


def write_tokens(home: Home, *, renew: bool) -> bool:
    """See that every token is in .env, mode 0600; with `renew` all are made anew.

    Whether anything was written. Other variables in the file are kept.
    """
    known = _known(home)
    missing = missing_tokens(home, renew=renew)
    if not missing:
        return False
    values = known | {name: secrets.token_urlsafe(32) for name in missing}
    home.make()
    text = "".join(f"{name}='{value or ''}'\n" for name, value in values.items())
    write_atomically(home.secrets, "# Secrets of this installation.\n" + text, mode=0o600)
    return True


def _known(home: Home) -> dict[str, str | None]:
    return dotenv_values(home.secrets, interpolate=False) if home.secrets.is_file() else {}
