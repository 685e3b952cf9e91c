"""A repository as the hub keeps it: files at one commit, large ones under their sha256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# What the hub itself keeps in git; everything larger is in LFS.
LARGE = 1 << 16


@dataclass(frozen=True)
class Repository:
    """`files` maps paths to what they hold, or to where it lies.

    `xet` is whether large files can be had by Xet, beside the plain way that is always there.
    """

    name: str
    files: dict[str, bytes | Path]
    license: str = "apache-2.0"
    gated: bool = False
    xet: bool = False
    entries: dict[str, Entry] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for path, source in self.files.items():
            self.entries[path] = Entry(path, source)

    @cached_property
    def commit(self) -> str:
        named = "".join(f"{path} {each.etag}\n" for path, each in sorted(self.entries.items()))
        return hashlib.sha1(named.encode()).hexdigest()  # noqa: S324 - git's


@dataclass(frozen=True)
class Entry:
    path: str
    source: bytes | Path

    @cached_property
    def size(self) -> int:
        source = self.source
        return len(source) if isinstance(source, bytes) else source.stat().st_size

    @property
    def large(self) -> bool:
        return self.size >= LARGE

    @cached_property
    def sha256(self) -> str:
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with self.source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def blob_id(self) -> str:
        content = self.source if isinstance(self.source, bytes) else b"pointer"
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.blob_id

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`."""
        if isinstance(self.source, bytes):
            return self.source[start:end]
        with self.source.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def described(self) -> dict[str, object]:
        """The entry as the hub's tree listing has it."""
        found: dict[str, object] = {
            "type": "file",
            "path": self.path,
            "size": self.size,
            "oid": self.blob_id,
        }
        if self.large:
            found["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return found
