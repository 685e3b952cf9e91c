"""What a repository holds at one commit, and how much of it a volume has already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class File:
    """One file of a repository. `size` is bytes.

    `etag` names its content: the sha256 in hex of a large file, git's blob id of a small one.
    `have` is the bytes of it that the volume holds; a finished file has all of them.
    """

    path: str
    size: int
    etag: str
    have: int = 0

    @property
    def sha256(self) -> str | None:
        """The checksum that the hub promises, which it does for large files alone."""
        return self.etag if len(self.etag) == 64 else None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def missing(self) -> int:
        return self.size - min(self.have, self.size)


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit. `free` is the bytes that the volume's file system has left."""

    repo: str
    commit: str
    files: tuple[File, ...]
    license: str | None = None
    gated: bool = False
    free: int | None = None
    tags: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def listing(found: Mapping[str, Any]) -> Listing:
    """The Listing that `as_dict` made; KeyError or TypeError where it is another thing."""
    files = tuple(File(**each) for each in found["files"])
    return Listing(**{**found, "files": files, "tags": tuple(found["tags"])})


def total(files: Iterable[File]) -> int:
    """Bytes in all."""
    return sum(each.size for each in files)


def missing(files: Iterable[File]) -> int:
    """Bytes that have to be moved. Files of one content are moved once."""
    return sum({each.etag: each.missing for each in files}.values())
