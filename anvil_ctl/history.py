"""How long steps took on this machine, so that the next run can say what to expect."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl.events import Report, step


@dataclass(frozen=True, slots=True)
class History:
    """Seconds by step name, in one small JSON file; losing it loses only estimates."""

    path: Path

    def seconds(self) -> dict[str, float]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {str(k): float(v) for k, v in found.items() if isinstance(v, (int, float))}

    def record(self, name: str, seconds: float) -> None:
        # An estimate is a courtesy: a read-only or full disk must not fail the work itself.
        with contextlib.suppress(OSError):
            known = self.seconds() | {name: round(seconds, 2)}
            write_atomically(self.path, json.dumps(known, indent=1, sort_keys=True) + "\n")

    @contextlib.contextmanager
    def step(self, report: Report, name: str, text: str, default_s: float) -> Iterator[None]:
        """A reported step whose estimate is its last duration here, or `default_s`."""
        started = time.monotonic()
        with step(report, name, text, self.seconds().get(name, default_s)):
            yield
        self.record(name, time.monotonic() - started)


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace `path` by temp file, fsync and rename: readers see the old or the new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
