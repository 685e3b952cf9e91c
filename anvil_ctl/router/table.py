"""Reading one TOML table strictly: every error names the file, the key, the value and a remedy."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from anvil_ctl.errors import ConfigError

_Value = TypeVar("_Value")
_Default = TypeVar("_Default")
# Turns a TOML value into what the program uses; raises ValueError saying what is wanted.
Check = Callable[[object], _Value]

_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_AWS_KEY = re.compile(r"(AKIA|ASIA)[A-Z0-9]{16}", re.ASCII)


class Table:
    """One table of the file. `where` is how its keys are named in messages."""

    def __init__(self, file: str, where: str, values: object) -> None:
        self.file = file
        self.where = where
        if not isinstance(values, dict):
            raise ConfigError(f"{file}: {where} is {_shown(values)}: it must be a table")
        self._values: Mapping[str, object] = values

    def has(self, key: str) -> bool:
        """Whether the key is set."""
        return key in self._values

    def require(self, *keys: str) -> None:
        """Raise naming every one of `keys` that is missing."""
        missing = [key for key in keys if key not in self._values]
        if missing:
            raise ConfigError(
                f"{self.file}: {self.where} lacks {', '.join(missing)}",
                hint=f"add {missing[0]} = ... to {self.where}",
            )

    def get(self, key: str, check: Check[_Value], default: _Default) -> _Value | _Default:
        """The checked value, or the default where the key is absent."""
        return self.must(key, check) if key in self._values else default

    def must(self, key: str, check: Check[_Value]) -> _Value:
        """The checked value of a key that is there."""
        value = self._values[key]
        try:
            return check(value)
        except ValueError as error:
            raise self.error(key, str(error)) from error

    def error(self, key: str, wanted: str) -> ConfigError:
        """An error about one key's value."""
        value = _shown(self._values.get(key))
        return ConfigError(
            f"{self.file}: {self.where}: {key} = {value}: it must be {wanted}",
            hint=f"correct {key} in {self.file}",
        )

    def unknown(self, known: frozenset[str]) -> list[str]:
        """A warning for each key that means nothing here: a typo may switch a safety net off."""
        warnings = []
        for key in self._values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
                meant = f"; did you mean {near[0]}?" if near else ""
                warnings.append(f"{self.file}: {self.where}: unknown key {key}{meant}")
        return warnings

    def idle(self, keys: frozenset[str]) -> list[str]:
        """A warning for each key that is right and has no effect in this version."""
        return [
            f"{self.file}: {self.where}: {key} has no effect in this version"
            for key in self._values
            if key in keys
        ]


def text(value: object) -> str:
    """A string with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a non-empty string")
    return value


def flag(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - a Check says what it wants this way
    return value


def whole(value: object) -> int:
    """A whole number above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number above 0")
    return value


def count(value: object) -> int:
    """A whole number, 0 or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a whole number of 0 or more")
    return value


def seconds(value: object) -> float:
    """A number of seconds above 0."""
    number = amount(value)
    if number == 0:
        raise ValueError("a number of seconds above 0")
    return number


def amount(value: object) -> float:
    """A finite number, 0 or more."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError("a finite number of 0 or more")
    return float(value)


def env_name(value: object) -> str:
    """The name of an environment variable, and not the secret in it."""
    if not isinstance(value, str) or not _ENV_NAME.fullmatch(value) or _AWS_KEY.fullmatch(value):
        raise ValueError(
            "the NAME of an environment variable (A-Z, 0-9, _), never the secret itself"
        )
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of different, non-empty strings."""
    if not isinstance(value, list):
        raise ValueError("a list of strings")  # noqa: TRY004 - a Check says what it wants this way
    items = tuple(text(item) for item in value)
    if len(set(items)) != len(items):
        raise ValueError("a list without duplicates")
    return items


def one_of(*words: str) -> Check[str]:
    """One of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(" or ".join(words))
        return value

    return check


def mapping(value: object) -> dict[str, object]:
    """A table of JSON values."""
    if not isinstance(value, dict) or not _is_json(value):
        raise ValueError("a table of JSON values")
    return value


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int | bool)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
