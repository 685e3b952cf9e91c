"""Merges values into a client's JSON or TOML settings, and keeps everything else. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping

import tomlkit
from pydantic import JsonValue
from tomlkit.exceptions import TOMLKitError

from anvil_ctl.errors import ConfigError


def shown(values: Mapping[str, JsonValue], file: str) -> str:
    """The values as they would stand in `file`."""
    return _toml("", values) if _is_toml(file) else _json(values)


def merged(text: str, values: Mapping[str, JsonValue], file: str) -> str:
    """`text` with `values` in it, table by table; the same text where they are there already.

    Comments in TOML stay. ConfigError if `text` is neither TOML nor plain JSON, as the file's name
    has it, with a table at its top: comments in JSON would be lost.
    """
    try:
        return _toml(text, values) if _is_toml(file) else _merge_json(text, values)
    except (ValueError, TOMLKitError) as error:
        kind = "TOML" if _is_toml(file) else "plain JSON"
        raise ConfigError(
            f"{file}: not {kind}, so nothing was written: {error}",
            hint="merge the values by hand; without --write they are printed",
        ) from error


def _is_toml(file: str) -> bool:
    return file.endswith(".toml")


def _merge_json(text: str, values: Mapping[str, JsonValue]) -> str:
    before = json.loads(text) if text.strip() else {}
    if not isinstance(before, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004 - to merged(), as bad syntax is
    after = _merge(before, values)
    return text if after == before else _json(after) + "\n"


def _json(values: Mapping[str, JsonValue]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)


def _merge(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    result = dict(old)
    for key, value in new.items():
        known = result.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            result[key] = _merge(known, value)
        else:
            result[key] = value
    return result


def _toml(text: str, values: Mapping[str, JsonValue]) -> str:
    document = tomlkit.parse(text)
    before = document.unwrap()
    if _merge(before, values) == before:
        return text
    _put(document, values)
    return tomlkit.dumps(document)


def _put(table: MutableMapping[str, object], values: Mapping[str, JsonValue]) -> None:
    for key, value in values.items():
        known = table.get(key)
        if isinstance(value, dict) and isinstance(known, MutableMapping):
            _put(known, value)
        else:
            table[key] = value
