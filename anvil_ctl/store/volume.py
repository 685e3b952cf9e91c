"""Files in a named volume, reached through one-off containers.

Where Docker keeps a volume is its own affair, and often not even on this file system. What is
put in comes from a folder that the engine can mount, so the engine must share our files.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anvil_ctl.errors import AnvilError

TOOLBOX = "debian:trixie-slim"
_STORE = "/store"
_INBOX = "/inbox"


class VolumeEngine(Protocol):
    """The part of Docker that keeps volumes and runs one-off containers."""

    def volume_exists(self, name: str) -> bool: ...
    def create_volume(self, name: str, labels: Mapping[str, str]) -> None: ...
    def run(
        self,
        image: str,
        command: Sequence[str],
        volumes: Iterable[tuple[str, str, str]] = (),
        user: str | None = None,
    ) -> str: ...


@dataclass(frozen=True, slots=True)
class Volume:
    """One named volume. Paths are relative to its root."""

    docker: VolumeEngine
    name: str

    def size_of(self, path: str) -> int | None:
        """Bytes of a file, or of all files under a folder; None where there is neither.

        Links are followed: a hub's snapshots are folders of links.
        """
        sizes = f"find -L {_quoted(path)} -type f -printf '%s\\n'"
        total = "awk '{ total += $1 } END { printf \"%.0f\\n\", total }'"
        found = self._run(
            f"[ -e {_quoted(path)} ] || {{ echo none; exit; }}; {sizes} | {total}"
        ).strip()
        return int(found) if found.isdigit() else None

    def sha256_of(self, path: str) -> str:
        return self._run(f"sha256sum {_quoted(path)}").split(" ", 1)[0]

    def free_bytes(self) -> int:
        """Free space of the disk behind the volume, as seen inside a container."""
        fields = self._run(f"df -Pk {_STORE} | tail -n 1").split()
        return int(fields[3]) * 1024

    def put(self, source: Path, path: str, sha256: str) -> None:
        """Copy a file in under a temporary name, verify it there, then rename it.

        A reader sees the whole file or none. AnvilError if what arrived differs.
        """
        target, part = _quoted(path), _quoted(f"{path}.part")
        script = (
            f"set -eu; mkdir -p $(dirname {target}); cp {_INBOX}/{shlex.quote(source.name)} {part};"
            f" found=$(sha256sum {part}); found=${{found%% *}};"
            f' if [ "$found" != {sha256} ]; then rm -f {part}; echo "differs $found"; exit 0; fi;'
            f" chmod 0444 {part}; sync {part}; mv {part} {target}; echo stored"
        )
        said = self._run(script, (str(source.parent), _INBOX, "ro")).strip()
        if said != "stored":
            raise AnvilError(
                f"{path} was not stored in volume {self.name}: {said or 'no answer'}",
                hint="check the disk, then: anvil-ctl pull starter",
            )

    def _run(self, script: str, *more: tuple[str, str, str]) -> str:
        mode = "rw" if more else "ro"
        volumes = [(self.name, _STORE, mode), *more]
        return self.docker.run(TOOLBOX, ["sh", "-c", script], volumes, "0:0")


def _quoted(path: str) -> str:
    return shlex.quote(f"{_STORE}/{path}")
