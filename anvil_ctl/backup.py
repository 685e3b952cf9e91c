"""Replaces files that belong to the user: atomically, and never without a copy of what was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from anvil_ctl.history import write_atomically


def replace(path: Path, text: str, *, mode: int = 0o644) -> Path | None:
    """Write `text` to `path`; the copy of what was there, None if there was nothing.

    An existing file keeps its permissions and a link stays a link; a new file gets `mode`.
    """
    target = path.resolve()
    if not target.exists():
        write_atomically(target, text, mode)
        return None
    mode = stat.S_IMODE(target.stat().st_mode)
    copy = _copy(target, mode)
    write_atomically(target, text, mode)
    return copy


def _copy(path: Path, mode: int) -> Path:
    """A copy beside `path`, under the first number that is free: NAME.bak.1, NAME.bak.2 ..."""
    content, number = path.read_bytes(), 0
    while True:
        number += 1
        copy = path.with_name(f"{path.name}.bak.{number}")
        try:
            # Exclusively, so that two programs at once never write over each other's copy.
            handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            continue
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        copy.chmod(mode)
        return copy
