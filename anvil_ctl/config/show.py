"""A definition as text and as plain data, with its defaults filled in and no secret in it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

import tomlkit

from anvil_ctl.config.model import Config

HIDDEN = "(hidden)"
# A shorter value is no secret, and would be found inside ordinary words.
_SHORTEST_SECRET = 8


def effective(config: Config, secrets: Iterable[str] = ()) -> dict[str, object]:
    """Every key that has a value, defaults too. Values of `secrets` are hidden wherever they are.

    A definition names secrets by variable, so there are none in it, unless by mistake.
    """
    hidden = [each for each in secrets if len(each) >= _SHORTEST_SECRET]
    return {
        key: _without(value, hidden)
        for key, value in config.model_dump(mode="json", exclude_none=True).items()
    }


def as_text(value: object) -> str:
    """A value for people and for shells: tables as TOML, strings bare, the rest as JSON."""
    if isinstance(value, dict):
        return tomlkit.dumps(value).rstrip("\n")
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return "\n\n".join(tomlkit.dumps(each).rstrip("\n") for each in value)
    return json.dumps(value)


def _without(value: object, secrets: list[str]) -> object:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, list):
        return [_without(each, secrets) for each in value]
    if isinstance(value, dict):
        return {key: _without(each, secrets) for key, each in value.items()}
    return value
