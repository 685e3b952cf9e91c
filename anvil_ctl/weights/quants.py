"""GGUF files by their names: which quantization each holds, and which of its shards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from anvil_ctl.weights.listing import File, total

# The names that llama.cpp's quantize and the usual publishers give; longest first where one begins
# another. UD- marks unsloth's mixed ones, which are sets of their own.
_QUANT = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")


@dataclass(frozen=True, slots=True)
class QuantSet:
    """All files of one quantization: a single one, or shards that are loaded together."""

    name: str
    files: tuple[File, ...]
    shards: int

    @property
    def stem(self) -> str:
        """The name that its files share, for publishers whose names say no quantization."""
        return _SHARD.sub("", _stem(self.files[0].path))

    @property
    def size(self) -> int:
        return total(self.files)

    @property
    def complete(self) -> bool:
        return len(self.files) == self.shards


def is_projector(path: str) -> bool:
    """Whether a GGUF file holds the part that sees images, which goes with any quantization."""
    return _stem(path).lower().startswith("mmproj") or "-mmproj" in _stem(path).lower()


def is_importance(path: str) -> bool:
    """Whether a file only helps to make quantizations."""
    return "imatrix" in _stem(path).lower().split("-")[0] or path.lower().endswith(".imatrix")


def quant_of(path: str) -> str:
    """The quantization that a file's name says, in capitals; its whole stem where it says none."""
    stem = _SHARD.sub("", _stem(path))
    named = _QUANT.findall(stem) or _QUANT.findall(path.rpartition("/")[0])
    return named[-1].upper() if named else stem


def sets(files: Iterable[File]) -> tuple[QuantSet, ...]:
    """The quantizations among GGUF files, smallest first; projectors are in none.

    Two sets of one quantization that differ in the rest of their names are kept apart.
    """
    groups: dict[str, list[File]] = {}
    for each in files:
        groups.setdefault(_SHARD.sub("", each.path.removesuffix(".gguf")), []).append(each)
    found = [_set(members) for members in groups.values()]
    names = [each.name for each in found]
    named = [
        each if names.count(each.name) == 1 else QuantSet(each.stem, each.files, each.shards)
        for each in found
    ]
    return tuple(sorted(named, key=lambda each: (each.size, each.name)))


def _set(members: list[File]) -> QuantSet:
    ordered = tuple(sorted(members, key=lambda each: each.path))
    shard = _SHARD.search(_stem(ordered[0].path))
    return QuantSet(quant_of(ordered[0].path), ordered, int(shard[2]) if shard else 1)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".gguf")
