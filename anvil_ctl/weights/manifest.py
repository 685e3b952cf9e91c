"""The record of weights that are whole: every file with its size and checksum, and what they are.

It is written last, so where there is one, all that it names has been there and was checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from anvil_ctl.weights.facts import Facts

VERSION = 1
# A mirror of the volume's own folders, and not in them: the hub's tools take a file beside a
# snapshot for a damaged cache.
FOLDER = "manifests"


@dataclass(frozen=True, slots=True)
class Kept:
    """One file: its path below the manifest's, its size in bytes, its sha256, the hub's etag."""

    path: str
    size: int
    sha256: str
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Weights at `path` of the volume: a snapshot's folder, or one file.

    `source` is what `pull` was given, `revision` the commit or the version that it led to.
    `models` has the facts of what can be loaded, by the path that an engine is given below `path`:
    "" for a snapshot as a whole or a single file, else a GGUF file.
    """

    path: str
    source: str
    revision: str
    files: tuple[Kept, ...]
    models: Mapping[str, Facts] = field(default_factory=dict)
    license: str | None = None
    pulled_at: str = ""

    @property
    def size(self) -> int:
        return sum(each.size for each in self.files)

    def as_dict(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}

    def of(self, path: str) -> Kept | None:
        return next((each for each in self.files if each.path == path), None)


def parse(found: Mapping[str, Any]) -> Manifest:
    """The Manifest that `as_dict` made; ValueError for a newer version or another thing."""
    if found.get("version") != VERSION:
        raise ValueError(f"a manifest of version {found.get('version')}; this one reads {VERSION}")
    try:
        # What a listing adds to a manifest is not its own.
        known = {name: found[name] for name in Manifest.__dataclass_fields__ if name in found}
        files = tuple(Kept(**each) for each in known.pop("files"))
        models = {name: Facts(**each) for name, each in known.pop("models").items()}
        return Manifest(**known, files=files, models=models)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no manifest: {error}") from error


def location(path: str) -> str:
    """Where in the volume the manifest of the weights at `path` lies."""
    return f"{FOLDER}/{path}.json"


def merged(old: Manifest | None, new: Manifest) -> Manifest:
    """`new`, with what an earlier pull has brought to the same place."""
    if old is None:
        return new
    named = {each.path for each in new.files}
    kept = [each for each in old.files if each.path not in named]
    files = tuple(sorted([*kept, *new.files], key=lambda each: each.path))
    return replace(new, files=files, models={**old.models, **new.models})


def covering(manifests: Iterable[Manifest], weights: str) -> tuple[Manifest, str] | None:
    """The manifest of what an engine is given at `weights`, and the path below it; None if none."""
    for each in manifests:
        if weights == each.path:
            return each, ""
        below = weights.removeprefix(f"{each.path}/")
        if below != weights:
            return each, below
    return None
