"""The registry: the file that says which models there are. No model is known without it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from anvil_ctl.errors import ConfigError
from anvil_ctl.multiplexer.model import Memory, Model, Park

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Path = Annotated[str, msgspec.Meta(pattern=r"^/[\x21-\x7e]*$")]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?:\.models\[(?P<row>\d+)\])?\.?(?P<key>.*?)`)?$")
_KEY = re.compile(r"field `(\w+)`")
# What Docker allows as a name; hex digits alone could be taken for an id.
_CONTAINER = re.compile(r"(?![0-9a-f]+$)[A-Za-z0-9][A-Za-z0-9_.-]+")


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: _Text
    tier: _Text
    role: _Text
    container: _Text
    url: _Text
    health_path: _Path = "/health"
    models_path: _Path = "/v1/models"
    start_timeout_s: _Seconds = 600.0
    stop_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=999)] = 10.0
    drain_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 30.0
    load_estimate_s: _Seconds = 60.0
    park: Park | None = None
    memory: Memory = Memory()
    fingerprint: str = ""
    config_hash: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    models: list[_Row]
    mode: str = ""
    cards: dict[str, int] = {}


class Registry(msgspec.Struct, frozen=True):
    """The models of one mode. `digest` is the SHA-256 of the file's bytes, in hex.

    `cards` is what models of a role may take of its card, in MiB; a role that isn't there has none.
    """

    mode: str
    models: tuple[Model, ...]
    digest: str
    cards: dict[str, int] = {}


def load(path: Path) -> Registry:
    """Read a registry file. ConfigError names the file, the row and the key."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the registry {path} can't be read: {error.strerror}",
            hint="anvil-ctl render writes it from anvil.toml",
        ) from error
    return parse(raw, str(path))


def parse(raw: bytes, source: str) -> Registry:
    """Read a registry. ConfigError names `source`, the row and the key."""
    try:
        file = msgspec.json.decode(raw, type=_File)
    except msgspec.ValidationError as error:
        raise _invalid(source, _explain(str(error), raw)) from error
    except msgspec.DecodeError as error:
        raise _invalid(source, f"not JSON: {error}") from error
    if file.version != 1:
        raise _invalid(source, f"key version: {file.version} is not a version this program reads")
    for number, row in enumerate(file.models, start=1):
        _check(source, number, row)
    _check_unique(source, file.models, "name", lambda row: row.name)
    _check_unique(source, file.models, "container", lambda row: row.container)
    models = tuple(Model(*msgspec.structs.astuple(row)) for row in file.models)
    return Registry(file.mode, models, hashlib.sha256(raw).hexdigest(), file.cards)


def _check(source: str, number: int, row: _Row) -> None:
    where = f"row {number} ({row.name})"
    if not _CONTAINER.fullmatch(row.container):
        raise _invalid(source, f"{where}, key container: {row.container!r} is no container name")
    parts = urlsplit(row.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _invalid(source, f"{where}, key url: {row.url!r} is not an http:// or https:// URL")


def _check_unique(source: str, rows: list[_Row], key: str, value: Callable[[_Row], str]) -> None:
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        first = seen.setdefault(value(row), number)
        if first != number:
            raise _invalid(source, f"row {number}, key {key}: {value(row)!r} is row {first}'s too")


def _explain(message: str, raw: bytes) -> str:
    """msgspec's message, with the place in words: `row 2 (smollm2), key role: ...`."""
    found = _WHERE.match(message)
    if found is None:
        return message
    key = found["key"] or next(iter(_KEY.findall(found["what"])), "")
    place = [f"key {key}"] if key else []
    if found["row"] is not None:
        place.insert(0, f"row {int(found['row']) + 1}{_name_in(raw, int(found['row']))}")
    what: str = found["what"]
    return ", ".join(place) + (": " if place else "") + what[:1].lower() + what[1:]


def _name_in(raw: bytes, index: int) -> str:
    rows: Any = msgspec.json.decode(raw)["models"]
    name = rows[index].get("name") if isinstance(rows[index], dict) else None
    return f" ({name})" if isinstance(name, str) else ""


def _invalid(source: str, message: str) -> ConfigError:
    return ConfigError(
        f"the registry {source}: {message}", hint="anvil-ctl render writes it from anvil.toml"
    )
