"""What lies in the volume: with a manifest, without one, half-fetched, or locked."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anvil_ctl.transfer import lock
from anvil_ctl.transfer.layout import PART, manifests
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.weights import manifest
from anvil_ctl.weights.manifest import Manifest

# A part that nobody has written for so long belongs to no pull that runs.
_OLD_S = 300


def shelf(root: Path) -> dict[str, Any]:
    """Manifests with how their files stand, weights without one, parts, locks, and free bytes.

    `last_used` is when a file of it was last read, as far as the file system notes that.
    """
    known = manifests(root)
    return {
        "models": [_described(root, each) for each in known],
        "unknown": sorted(_unknown(root, {each.path for each in known})),
        "parts": [_part(root, each) for each in sorted(root.rglob(f"*{PART}"))],
        "locks": [_lock(each) for each in sorted((root / lock.FOLDER).glob("*.pull"))],
        "free": shutil.disk_usage(root).free,
    }


def _described(root: Path, found: Manifest) -> dict[str, Any]:
    base = _base(root, found)
    missing, used = [], 0.0
    for each in found.files:
        try:
            seen = (base / each.path).stat()
        except OSError:
            missing.append(each.path)
            continue
        used = max(used, seen.st_atime)
        if seen.st_size != each.size:
            missing.append(each.path)
    linked = (root / found.path).is_symlink()
    return {**found.as_dict(), "missing": missing, "last_used": used or None, "linked": linked}


def _base(root: Path, found: Manifest) -> Path:
    place = root / found.path
    return place if place.is_dir() else place.parent


def _unknown(root: Path, known: set[str]) -> Iterator[str]:
    """Snapshots and GGUF files that no manifest vouches for."""
    for each in root.glob("hub/models--*/snapshots/*"):
        path = each.relative_to(root).as_posix()
        if path not in known and any(each.rglob("*")):
            yield path
    for each in root.glob("gguf/**/*.gguf"):
        path = each.relative_to(root).as_posix()
        if path not in known and not each.is_symlink():
            yield path


def _part(root: Path, path: Path) -> dict[str, Any]:
    seen = path.stat()
    age = max(time.time() - seen.st_mtime, 0)
    return {"path": path.relative_to(root).as_posix(), "size": seen.st_size, "age_s": round(age)}


def _lock(path: Path) -> dict[str, Any]:
    free = lock.is_free(path)
    return {"path": path.name, "held": not free, "stale": free and path.stat().st_size > 0}


def remove(root: Path, path: str, *, dry_run: bool = False) -> dict[str, Any]:
    """Take the weights at `path` away: what only they use, and their manifest. With `dry_run` only
    say whether that can be, and what it would give back at most.

    The snapshot goes first, in one step, so that nobody finds half of it.
    """
    found = next((each for each in manifests(root) if each.path == path), None)
    place = root / path
    if ".." in Path(path).parts or Path(path).is_absolute() or path in {"", "."}:
        raise Problem(Kind.OTHER, f"{path!r} is no path within the volume")
    if found is None and not os.path.lexists(place):
        raise Problem(Kind.NO_REPO, f"{path} in the volume")
    shown = [
        each.path for each in manifests(root) if each.path != path and _shows(root, each, place)
    ]
    if shown:
        raise Problem(Kind.OTHER, f"{path} is also shown as {', '.join(shown)}: remove that first")
    if dry_run:
        return {"path": path, "freed": found.size if found else 0}
    name = found.source if found else path
    with lock.held(root, name, "rm", lambda _said: None):
        freed = _take_away(root, place, found)
        (root / manifest.location(path)).unlink(missing_ok=True)
        repo = _repo_of(root, place)
        if repo is not None:
            freed += _sweep(root, repo)
    return {"path": path, "freed": freed}


def _shows(root: Path, found: Manifest, place: Path) -> bool:
    """Whether a model is a link to the folder that is to go."""
    linked = root / found.path
    return linked.is_symlink() and linked.resolve() == place.resolve()


def _take_away(root: Path, place: Path, found: Manifest | None) -> int:
    """Rename, then delete; bytes of real files, as links are counted with what they lead to."""
    gone = place.with_name(f".{place.name}.gone")
    shards = (
        [place.with_name(each.path) for each in found.files[1:]]
        if found and not place.is_dir()
        else []
    )
    freed = 0
    for each in shards:
        freed += each.stat().st_size if each.is_file() and not each.is_symlink() else 0
        each.unlink(missing_ok=True)
    if not os.path.lexists(place):
        return freed
    place.replace(gone)
    if gone.is_symlink() or gone.is_file():
        freed += 0 if gone.is_symlink() else gone.stat().st_size
        gone.unlink()
        return freed
    freed += sum(
        each.stat().st_size for each in gone.rglob("*") if each.is_file() and not each.is_symlink()
    )
    shutil.rmtree(gone)
    return freed


def _repo_of(root: Path, place: Path) -> Path | None:
    """The hub's folder of the repository that a snapshot is of."""
    if place.parent.name == "snapshots" and place.parent.parent.parent == root / "hub":
        return place.parent.parent
    return None


def _sweep(root: Path, repo: Path) -> int:
    """Delete contents that nothing in the volume shows any more, and the rest with the last."""
    used = {each.resolve() for each in root.rglob("*") if each.is_symlink()}
    freed = 0
    for blob in [each for each in repo.glob("blobs/*") if each.resolve() not in used]:
        freed += blob.stat().st_size
        blob.unlink()
    if not any(repo.glob("snapshots/*")) and not any(repo.glob("blobs/*")):
        shutil.rmtree(repo)
    return freed


def clean(root: Path, *, dry_run: bool = False) -> dict[str, Any]:
    """Delete parts of pulls that do not run, and locks that nobody holds; or only name them."""
    freed, parts, locks = 0, [], []
    held = [each for each in (root / lock.FOLDER).glob("*.pull") if not lock.is_free(each)]
    for each in sorted(root.rglob(f"*{PART}")):
        seen = each.stat()
        # A pull that runs has its lock; the hub's own tools have none of ours.
        if held or time.time() - seen.st_mtime < _OLD_S:
            continue
        freed += seen.st_size
        parts.append(each.relative_to(root).as_posix())
        if not dry_run:
            each.unlink()
    for each in sorted((root / lock.FOLDER).glob("*.pull")):
        if each not in held:
            locks.append(each.name)
            if not dry_run:
                each.unlink()
    return {"freed": freed, "parts": parts, "locks": locks}
