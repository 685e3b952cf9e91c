"""Engines are data: `engines/<name>/` says how to start one, and this module reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from anvil_ctl import datafile

Dialect = Literal["openai", "anthropic"]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^:]+$")]


class EngineImage(BaseModel):
    """One way to have the engine as an image: published, built by us, or either.

    Image `cpu` is built from the folder's `Dockerfile.cpu`, where there is one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    official: str | None = None
    entrypoint: list[str] = Field(min_length=1)
    device: Literal["cpu", "nvidia"]
    # Where it keeps what it compiles: each becomes a named volume, safe to delete.
    caches: list[AbsolutePath] = []
    environment: dict[str, str] = {}
    shm_size: str | None = Field(default=None, pattern=r"^[1-9][0-9]*[mg]b$")
    ipc: Literal["host", "private"] | None = None
    ulimits: dict[str, int] = {}
    cap_add: list[str] = []
    read_only: bool = True
    # The oldest NVIDIA driver that its CUDA runs with, by its first number.
    driver: int | None = Field(default=None, gt=0)


class ParkingCall(BaseModel):
    """One POST to the engine; "{model}" in the body is the served name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: AbsolutePath
    body: dict[str, str | int | bool | list[str]] = {}


class ParkingFlag(BaseModel):
    """Where the engine says whether it sleeps: a JSON value, its keys joined by dots."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: AbsolutePath
    key: str
    asleep: str | bool = True
    awake: str | bool = False


class EngineParking(BaseModel):
    """One way to give up the card without exiting, which tiers give as `parking`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    leave: list[ParkingCall] = Field(min_length=1)
    enter: list[ParkingCall] = Field(min_length=1)
    asleep: ParkingFlag | None = None
    # The container starts without its model.
    starts_asleep: bool = False
    # What it keeps in the host's RAM meanwhile, and of the card, in MiB.
    holds: Literal["weights", "nothing"]
    leftover_mib: int = Field(default=0, ge=0)
    # What the engine is told for it: groups that are added, and flags whose groups are left out.
    args: list[list[str]] = []
    without: list[str] = []
    environment: dict[str, str] = {}
    # A template of the name that it serves the model under, where that can't be chosen.
    served_name: str | None = None


class EngineFile(BaseModel):
    """The content of an engine.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    version: str
    dialects: list[Dialect] = Field(min_length=1)
    port: int = Field(gt=0, lt=65536)
    health_path: str = Field(pattern=r"^/")
    models_path: str = Field(pattern=r"^/")
    # How the router asks it for a count of tokens; absent where it can't be asked.
    count_tokens: Literal["messages", "tokenize", "template"] | None = None
    stop_grace_s: int = Field(gt=0)
    # What requests share: one pool of tokens, or a whole window that each slot has for itself.
    kv_cache: Literal["pool", "slots"] = "pool"
    # uid:gid in the container; absent for an image that has to run as its own user.
    user: str | None = None
    healthcheck: list[str]
    args: list[list[str]]
    # Kinds of files that it loads weights from; empty for one that is not to be checked.
    weights: list[Literal["gguf", "safetensors", "bin"]] = []
    images: dict[str, EngineImage] = Field(min_length=1)
    parking: dict[str, EngineParking] = {}


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine and the flags that its pinned version accepts."""

    file: EngineFile
    flags: frozenset[str]

    def unknown_flags(self, argv: list[str]) -> list[str]:
        """The flags in `argv` that this version would refuse."""
        given = (each.split("=", 1)[0] for each in argv if each.startswith("-"))
        return sorted({each for each in given if each not in self.flags and not _number(each)})


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def load_all(folder: Path) -> Mapping[str, Engine]:
    """Read every `engines/<name>/`; ConfigError names the file and the key that is wrong."""
    found = (_load(each) for each in sorted(folder.glob("*/engine.toml")))
    return {each.file.name: each for each in found}


def _load(path: Path) -> Engine:
    file = datafile.read(path, EngineFile)
    lines = (path.parent / "flags.txt").read_text(encoding="utf-8").splitlines()
    return Engine(file, frozenset(each for each in lines if each.startswith("-")))
