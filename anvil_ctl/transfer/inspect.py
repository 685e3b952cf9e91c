"""Files in the volume, looked into: whether they are what they claim, and what they say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.weights import facts, headers, quants
from anvil_ctl.weights.choice import kind_of
from anvil_ctl.weights.facts import Facts
from anvil_ctl.weights.listing import File

_INDEX = ".index.json"


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that is not what it should be, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found. `models` is keyed like that of a manifest."""

    broken: tuple[Broken, ...]
    models: Mapping[str, Facts]

    def whole(self, source: str) -> Mapping[str, Facts]:
        """The models; Problem where any file of `source` is broken."""
        if self.broken:
            named = "; ".join(f"{each.path}: {each.why}" for each in self.broken)
            raise Problem(Kind.DAMAGED, f"{source} is not whole: {named}")
        return self.models


def inspect(root: Path, paths: Iterable[str]) -> Inspected:
    """Read the headers of the weights among `paths` below `root`, and their index, if any."""
    there = sorted(paths)
    broken: list[Broken] = []
    safetensors = [each for each in there if kind_of(each) == "safetensors"]
    found = {each: _header(root, each, broken) for each in safetensors}
    for each in there:
        if each.endswith(f".safetensors{_INDEX}"):
            broken += _index(root, each, found)
    models = _of_snapshot(root, there, [each for each in found.values() if each])
    models |= _of_gguf(root, [each for each in there if kind_of(each) == "gguf"], broken)
    return Inspected(tuple(broken), models)


def _header(root: Path, path: str, broken: list[Broken]) -> Mapping[str, Any]:
    place = root / path
    try:
        with place.open("rb") as file:
            return headers.safetensors(file, place.stat().st_size)
    except (OSError, headers.Malformed) as error:
        broken.append(Broken(path, _reason(error)))
        return {}


def _index(root: Path, path: str, found: Mapping[str, Mapping[str, Any]]) -> list[Broken]:
    """Every tensor of the index is in the shard that it names."""
    folder = path.rpartition("/")[0]
    try:
        named = json.loads((root / path).read_text(encoding="utf-8"))["weight_map"]
        shards: dict[str, set[str]] = {}
        for tensor, shard in named.items():
            shards.setdefault(shard, set()).add(tensor)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Broken(path, f"the index cannot be read: {_reason(error)}")]
    broken = []
    for shard, tensors in sorted(shards.items()):
        at = f"{folder}/{shard}" if folder else shard
        if at not in found:
            broken.append(Broken(at, "the index names it, and it is not there"))
        elif found[at] and (lacking := tensors - set(found[at])):
            text = f"it lacks {len(lacking)} of the tensors that the index names"
            broken.append(Broken(at, f"{text}: {min(lacking)}"))
    return broken


def _of_snapshot(root: Path, paths: list[str], found: list[Mapping[str, Any]]) -> dict[str, Facts]:
    pickles = [each for each in paths if kind_of(each) == "bin"]
    if found:
        return {"": facts.of_safetensors(found, _config(root))}
    if pickles:
        size = sum((root / each).stat().st_size for each in pickles)
        return {"": facts.of_pickles(size, _config(root))}
    return {}


def _of_gguf(root: Path, paths: list[str], broken: list[Broken]) -> dict[str, Facts]:
    """Each quantization by its first file: that is the one which an engine is given."""
    metadata = {}
    for path in paths:
        try:
            with (root / path).open("rb") as file:
                metadata[path] = headers.gguf(file)
        except (OSError, headers.Malformed, MemoryError) as error:
            broken.append(Broken(path, _reason(error)))
    models = [each for each in metadata if not quants.is_projector(each)]
    found = {}
    for each in quants.sets(File(path, (root / path).stat().st_size, "") for path in models):
        first = each.files[0].path
        found[first] = facts.of_gguf(each.size, metadata[first])
    return found


def _config(root: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((root / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    return str(error)
