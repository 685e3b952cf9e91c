"""The tokens of an installation, in its .env."""

from __future__ import annotations

import secrets

from dotenv import dotenv_values

from anvil_ctl.history import write_atomically
from anvil_ctl.paths import Home

TOKENS = ("ANVIL_ROUTER_TOKEN", "ANVIL_ADMIN_TOKEN")


def write_tokens(home: Home, *, renew: bool, dry_run: bool = False) -> bool:
    """See that every token is in .env, mode 0600; with `renew` all are made anew.

    Whether anything was written, or would be with `dry_run`. Other variables in the file are kept.
    """
    known = dotenv_values(home.secrets, interpolate=False) if home.secrets.is_file() else {}
    missing = [name for name in TOKENS if renew or not known.get(name)]
    if not missing or dry_run:
        return bool(missing)
    values = known | {name: secrets.token_urlsafe(32) for name in missing}
    home.make()
    text = "".join(f"{name}='{value or ''}'\n" for name, value in values.items())
    write_atomically(home.secrets, "# Secrets of this installation.\n" + text, mode=0o600)
    return True
