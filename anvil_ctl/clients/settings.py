"""Merges values into a client's JSON settings, and keeps everything else as it is. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from anvil_ctl.errors import ConfigError


def merged(text: str, values: Mapping[str, JsonValue], file: str) -> str:
    """`text` with `values` in it, table by table; the same text where they are there already.

    ConfigError if `text` is not plain JSON with a table at its top: comments would be lost.
    """
    try:
        before = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ConfigError(
            f"{file}: not plain JSON, so nothing was written: {error}",
            hint="merge the values by hand; without --write they are printed",
        ) from error
    if not isinstance(before, dict):
        raise ConfigError(
            f"{file}: holds no JSON object, so nothing was written",
            hint=f"see what {file} is, and move it away",
        )
    after = _merge(before, values)
    if after == before:
        return text
    return json.dumps(after, indent=2, ensure_ascii=False) + "\n"


def _merge(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    result = dict(old)
    for key, value in new.items():
        known = result.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            result[key] = _merge(known, value)
        else:
            result[key] = value
    return result
