"""Data files of this bundle: TOML, validated, with errors that name the file and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from anvil_ctl.errors import ConfigError

Content = TypeVar("Content", bound=BaseModel)


def read(path: Path, model: type[Content]) -> Content:
    """A TOML file as `model`; ConfigError for a file that is not one."""
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error


def read_each(
    folder: Path, name: str, model: type[Content]
) -> tuple[Content | None, dict[str, Content]]:
    """The file `name` in a folder, if it is there, and those of the folders in it, by folder."""
    common = folder / name
    own = {path.parent.name: read(path, model) for path in sorted(folder.glob(f"*/{name}"))}
    return read(common, model) if common.is_file() else None, own


def refuse_twice(folder: Path, what: str, ids: list[str]) -> None:
    """ConfigError where an id is given to two of them."""
    for each in ids:
        if ids.count(each) > 1:
            raise ConfigError(f"{folder}: two {what} have the id {each}")
