"""An engine whose containers are shells of this machine and whose volumes are folders."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# A disk that writes more than it was given.
_BAD_COPY = 'cp() { command cp "$@"; for last; do :; done; printf x >> "$last"; }; '


@dataclass
class FolderEngine:
    """Runs the real scripts, with the paths inside the container replaced by folders."""

    root: Path
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    runs: int = 0
    free_blocks: int | None = None
    damage: bool = False

    def folder(self, volume: str) -> Path:
        return self.root / volume

    def volume_exists(self, name: str) -> bool:
        return self.folder(name).is_dir()

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self.folder(name).mkdir(parents=True)
        self.labels[name] = dict(labels)

    def run(
        self,
        image: str,
        command: Sequence[str],
        volumes: Iterable[tuple[str, str, str]] = (),
        user: str | None = None,
    ) -> str:
        self.runs += 1
        script = command[-1]
        if script.startswith("df ") and self.free_blocks is not None:
            return f"disk 1 1 {self.free_blocks} 1% /store\n"
        for source, target, _mode in volumes:
            path = source if source.startswith("/") else str(self.folder(source))
            script = script.replace(target, path)
        if self.damage:
            script = _BAD_COPY + script
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        return done.stdout
