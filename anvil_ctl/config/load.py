"""anvil.toml -> Config, with errors that name the file, the key, the value and the remedy."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from anvil_ctl.config.model import Config
from anvil_ctl.errors import ConfigError


def load(path: Path) -> Config:
    """Read and validate a definition; ConfigError if it is absent or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", hint="anvil-ctl init") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Validate the text of a definition; `path` is named in errors."""
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first = _explain(problems[0])
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(
            f"{path}: {first}{more}", hint="edit that key, then: anvil-ctl render"
        ) from error


def _explain(problem: ErrorDetails) -> str:
    location = tuple(problem["loc"])
    where = ".".join(map(str, location)) or "the whole file"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _keys_at(location[:-1]), 1)
        advice = f"; did you mean {near[0]!r}?" if near else ""
        return f"{where}: unknown key{advice}"
    if problem["type"] == "missing":
        return f"{where}: required, and absent"
    text = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = f" (is {value!r})" if isinstance(value, (str, int, float, bool)) else ""
    return f"{where}: {text}{shown}"


def _without_none(annotation: object) -> object:
    """`X | None` as X."""
    kinds = get_args(annotation)
    return kinds[0] if kinds[1:] == (type(None),) else annotation


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema has at a location, for suggesting the nearest one."""
    found: object = Config
    for part in location:
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(str(part))
            found = _without_none(field.annotation) if field else None
        else:
            # dict[str, X] and list[X]: the last type argument is what an entry holds.
            found = (get_args(found) or (None,))[-1]
    if isinstance(found, type) and issubclass(found, BaseModel):
        return list(found.model_fields)
    return []
