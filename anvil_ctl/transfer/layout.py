"""Where things lie in the volume: the hub's own cache layout, and our manifests beside it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl.weights import manifest
from anvil_ctl.weights.manifest import Manifest

PART = ".incomplete"


@dataclass(frozen=True, slots=True)
class RepoFolder:
    """A repository in the volume whose root is `root`."""

    root: Path
    repo: str

    @property
    def name(self) -> str:
        return f"hub/models--{self.repo.replace('/', '--')}"

    def blob(self, etag: str) -> Path:
        """A file's content: it has this name once it is whole and checked, and not before."""
        return self.root / self.name / "blobs" / etag

    def part(self, etag: str) -> Path:
        """What has come of it so far. The name is its content's, so going on is always right."""
        return self.root / self.name / "blobs" / f"{etag}{PART}"

    def snapshot(self, commit: str) -> str:
        """The path in the volume of one commit's files."""
        return f"{self.name}/snapshots/{commit}"

    def link(self, commit: str, path: str, etag: str) -> None:
        """Show a file's content under its path, as the hub's own client does."""
        place = self.root / self.snapshot(commit) / path
        show(place, self.blob(etag))

    def refer(self, revision: str, commit: str) -> None:
        """Note which commit a branch or a tag was, for engines that ask for it by that name."""
        write(self.root / self.name / "refs" / revision, commit)


def read_manifest(root: Path, path: str) -> Manifest | None:
    """The manifest of the weights at `path`; None where there is none that can be read."""
    try:
        text = (root / manifest.location(path)).read_text(encoding="utf-8")
        return manifest.parse(json.loads(text))
    except (OSError, ValueError):
        return None


def write_manifest(root: Path, found: Manifest) -> None:
    write(root / manifest.location(found.path), json.dumps(found.as_dict(), indent=1) + "\n")


def write(path: Path, text: str) -> None:
    """Replace a small file at once: readers see the old text or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary = Path(name)
    temporary.chmod(0o644)
    temporary.replace(path)


def settle(path: Path) -> None:
    """Wait until a file's content would outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def show(place: Path, target: Path) -> None:
    """Make `place` a relative link to `target`, at once: readers see the old one or the new."""
    relative = Path(os.path.relpath(target, place.parent))
    if place.is_symlink() and place.readlink() == relative:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(relative)
    fresh.replace(place)


def manifests(root: Path) -> list[Manifest]:
    """Every manifest of the volume that can be read, in order of path."""
    folder = root / manifest.FOLDER
    paths = (each.relative_to(folder) for each in sorted(folder.rglob("*.json")))
    found = (read_manifest(root, str(each).removesuffix(".json")) for each in paths)
    return [each for each in found if each is not None]
