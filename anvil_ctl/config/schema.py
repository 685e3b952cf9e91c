"""Walks the schema of a definition: what a key holds, and which keys there are."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from anvil_ctl.config.model import MODES, Config, ModeDefinition
from anvil_ctl.config.sources import ModeFile


def holds(root: object, key: Iterable[str | int]) -> object | None:
    """The type at a key below `root`; None where the schema has no such key.

    Below a dict and a list any part leads on: names and ids are the definition's own.
    """
    found: object | None = root
    for part in key:
        found = _below(_plain(found), str(part))
        if found is None:
            return None
    return _plain(found)


def names(annotation: object) -> list[str]:
    """The keys of a table of the schema; none for anything else."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(annotation.model_fields)
    return []


def json_schema(*, of_mode_file: bool = False) -> dict[str, object]:
    """The JSON Schema of anvil.toml, or of the file of a mode."""
    if of_mode_file:
        return _titled(ModeDefinition.model_json_schema(), "a mode's own file")
    schema = Config.model_json_schema()
    section = schema["$defs"]["ModeDefinition"]
    section["properties"] |= ModeFile.model_json_schema()["properties"]
    # Not a choice of two whole schemas: an editor could not say which key of a section is wrong.
    section["anyOf"] = [{"required": section.pop("required")}, {"required": ["file"]}]
    schema["properties"]["modes"] = {
        "type": "object",
        "properties": {mode: {"$ref": "#/$defs/ModeDefinition"} for mode in MODES},
        "additionalProperties": False,
    }
    return _titled(schema, "anvil.toml")


def _titled(schema: dict[str, object], title: str) -> dict[str, object]:
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": title}


def _below(found: object | None, part: str) -> object | None:
    if isinstance(found, type) and issubclass(found, BaseModel):
        field = found.model_fields.get(part)
        return field.annotation if field else None
    if get_origin(found) in (dict, list, tuple):
        inner = [each for each in get_args(found) if each is not Ellipsis]
        return inner[-1] if inner else None
    return None


def _plain(annotation: object | None) -> object | None:
    """Without the constraints of Annotated, and without the None of an optional key."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [each for each in get_args(annotation) if each is not types.NoneType]
        return _plain(inner[0]) if len(inner) == 1 else annotation
    return annotation
