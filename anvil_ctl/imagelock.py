"""images.lock: the digest that each published image had when it was locked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anvil_ctl.errors import ConfigError
from anvil_ctl.history import write_atomically

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HEAD = (
    "Written by anvil-ctl images lock: what each published image was when it was locked.",
    "Rendered files run exactly these. For newer ones run it again; without this file tags decide.",
)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: str = Field(min_length=1)
    digest: str = Field(pattern=rf"^{DIGEST.pattern}$")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1, le=1)
    images: list[_Entry] = []


@dataclass(frozen=True, slots=True)
class Lock:
    """Digests (`sha256:` and 64 hex digits) by reference, as an engine.toml names the image."""

    digests: Mapping[str, str] = field(default_factory=dict)

    def relocked(self, found: Mapping[str, str], known: Collection[str]) -> Lock:
        """With what was `found` now; entries of references that no engine knows are dropped."""
        kept = {name: digest for name, digest in self.digests.items() if name in known}
        return Lock({**kept, **found})

    def text(self) -> str:
        document = tomlkit.document()
        for line in _HEAD:
            document.add(tomlkit.comment(line))
        document.add("version", tomlkit.item(1))
        entries = tomlkit.aot()
        for reference, digest in sorted(self.digests.items()):
            entries.append(tomlkit.item({"reference": reference, "digest": digest}))
        document.add("images", entries)
        return tomlkit.dumps(document)

    def write(self, path: Path) -> None:
        write_atomically(path, self.text())


def read(path: Path) -> Lock:
    """The lock at `path`, an empty one where there is none; ConfigError where it is damaged."""
    hint = f"rm {path}; anvil-ctl images lock"
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Lock()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}", hint=hint) from error
    return Lock({each.reference: each.digest for each in found.images})


def pinned(reference: str, digest: str | None) -> str:
    """`name:tag@sha256:...`: Docker goes by the digest, and people read the tag."""
    return f"{reference}@{digest}" if digest and "@" not in reference else reference


def digest_of(reference: str) -> str | None:
    """The digest in a reference that has one."""
    _name, at, digest = reference.partition("@")
    return digest if at else None
