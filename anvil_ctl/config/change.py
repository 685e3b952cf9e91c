"""Changes one key of the definition on disk: only if the whole is valid with the new value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl import backup
from anvil_ctl.config import edit
from anvil_ctl.config.load import open_definition
from anvil_ctl.config.model import Config
from anvil_ctl.config.sources import find, read_file, read_toml
from anvil_ctl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Change:
    """The file that has the key, whether its text is another one, and the copy of what it was."""

    path: Path
    changed: bool
    copy: Path | None = None


def change(
    main: Path,
    key: str,
    value: str,
    environ: Mapping[str, str] = os.environ,
    *,
    dry_run: bool = False,
) -> Change:
    """Set a key in anvil.toml, or in the file of the mode that it belongs to; `dry_run`: nearly.

    The definition need not be valid before, so that a mistake can be corrected with it.
    UsageError and ConfigError, with nothing written, for a key or a value that do not fit.
    """
    parts = edit.parse_key(key)
    sources = find(main, read_toml(main, read_file), environ)
    path, within = sources.of(parts)
    wanted = edit.typed(Config, parts, value, str(path))
    read_toml(path, read_file)
    text = read_file(path)
    edited = edit.assign(text, within, wanted, str(path))
    try:
        open_definition(main, environ, lambda each: edited if each == path else read_file(each))
    except ConfigError as error:
        raise ConfigError(
            f"nothing was written: with {key} = {value}, {error.message}",
            hint=f"anvil-ctl config get {key}",
        ) from error
    if edited == text:
        return Change(path, changed=False)
    if dry_run:
        return Change(path, changed=True)
    return Change(path, changed=True, copy=backup.replace(path, edited))
