"""The user's own programs before and after a switch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from anvil_ctl import proc
from anvil_ctl.errors import AnvilError
from anvil_ctl.lifecycle.plan import POST_HOOK, PRE_HOOK

LIMIT_S = 60.0


def there(folder: Path) -> tuple[str, ...]:
    """The hooks that a folder has. AnvilError for one that cannot be executed."""
    found = tuple(name for name in (PRE_HOOK, POST_HOOK) if (folder / name).is_file())
    for name in found:
        if not os.access(folder / name, os.X_OK):
            path = folder / name
            raise AnvilError(f"{path} is not executable", hint=f"chmod +x {path}, or remove it")
    return found


def run(folder: Path, name: str, said: Mapping[str, str], limit_s: float = LIMIT_S) -> str:
    """Run one to its end; its last line. AnvilError if it fails, or takes too long.

    `said` is added to its environment: ANVIL_FROM, ANVIL_TO and ANVIL_HOME.
    """
    path = folder / name
    try:
        printed = proc.run([str(path)], env={**os.environ, **said}, cwd=folder, timeout_s=limit_s)
    except (proc.ProcessError, OSError) as error:
        raise AnvilError(f"hook {name}: {error}", hint=f"mend or remove {path}") from error
    lines = printed.strip().splitlines()
    return lines[-1][:120] if lines else "done"
