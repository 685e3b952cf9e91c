"""Which mode is asked for: `--mode`, then ANVIL_MODE, then active_mode."""

from __future__ import annotations

from collections.abc import Mapping

from anvil_ctl.config.model import MODES, Config, Mode
from anvil_ctl.errors import UsageError


def resolve(flag: str | None, environ: Mapping[str, str], config: Config) -> Mode:
    """The requested mode. A name that is not a mode is an error, whatever source gave it."""
    for source, value in (("--mode", flag), ("ANVIL_MODE", environ.get("ANVIL_MODE"))):
        if value is not None and value.strip():
            return known(value.strip(), source)
    return config.active_mode


def known(name: str, source: str) -> Mode:
    """`name` as a Mode; UsageError naming who gave it and what there is."""
    for mode in MODES:
        if name == mode:
            return mode
    raise UsageError(f"{source}: {name!r} is not a mode; modes: {', '.join(MODES)}")
