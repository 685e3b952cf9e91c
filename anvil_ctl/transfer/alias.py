"""A hub's weights under a second path of the volume, for tiers that name a file and no revision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anvil_ctl.transfer.layout import show, write_manifest
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.weights import quants
from anvil_ctl.weights.choice import kind_of
from anvil_ctl.weights.manifest import Kept, Manifest


def shown_as(root: Path, found: Manifest, to: str) -> Manifest:
    """Link the weights of `found` to `to`, and write that down; shards keep their names beside it.

    A path that ends in .gguf is a file's; any other is that of the whole snapshot's folder.
    """
    place, snapshot = root / to, root / found.path
    if Path(to).is_absolute() or ".." in Path(to).parts:
        raise Problem(Kind.OTHER, f"{to!r} is no path within the volume")
    if not to.endswith(".gguf"):
        show(place, snapshot)
        known = replace(found, path=to)
        write_manifest(root, known)
        return known
    weights = [each for each in found.files if kind_of(each.path) == "gguf"]
    weights = [each for each in weights if not quants.is_projector(each.path)]
    if not weights:
        raise Problem(Kind.OTHER, f"{found.source} has no GGUF file to show as {to}")
    kept = []
    for number, each in enumerate(weights):
        name = place.name if number == 0 else Path(each.path).name
        show(place.with_name(name), (snapshot / each.path).resolve())
        kept.append(Kept(name, each.size, each.sha256, each.etag))
    facts = found.models.get(weights[0].path)
    models = {"": facts} if facts else {}
    known = replace(found, path=to, files=tuple(kept), models=models)
    write_manifest(root, known)
    return known
