"""Reads and changes single keys of a definition by name: text in, text out. Pure.

A key is written as in TOML, with dots; a tier or a cloud is named by its id:
modes.agentic.tiers.coder.slots, clouds.sonnet.model.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import tomlkit
from pydantic import BaseModel, TypeAdapter, ValidationError
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, Comment, Whitespace

from anvil_ctl.config import nearest, schema
from anvil_ctl.errors import ConfigError, UsageError

Key = tuple[str, ...]
_TOMLKIT = (Container, AbstractTable)


def parse_key(text: str) -> Key:
    """The parts of a dotted key, read as TOML reads one; UsageError if it is none."""
    parts: list[str] = []
    try:
        found: object = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        found = {}
    while isinstance(found, dict) and len(found) == 1:
        ((part, found),) = found.items()
        parts.append(part)
    if found != 0:
        raise UsageError(
            f"{text!r} is not a key",
            hint="write it with dots, for example: anvil-ctl config get machine.router_port",
        )
    return tuple(parts)


def lookup(tree: object, key: Key, file: str) -> object:
    """The value at a key of a definition that has its defaults filled in.

    UsageError names the key that is not there, and the nearest one that is.
    """
    for depth, part in enumerate(key):
        tree = _step(tree, part, key[: depth + 1], file)
    return tree


def typed(root: type[BaseModel], key: Key, text: str, file: str) -> object:
    """`text` as the type that the schema has at a key: as a TOML value if that fits, else as it is.

    UsageError if there is no such key, or if the text is of another type.
    """
    annotation = schema.holds(root, key)
    if annotation is None:
        raise _unknown(root, key, file)
    adapter = TypeAdapter(cast("type[object]", annotation))
    problem = ""
    for candidate in _readings(text):
        try:
            adapter.validate_python(candidate, strict=not isinstance(candidate, dict | list))
        except ValidationError as error:
            problem = problem or error.errors()[0]["msg"].removeprefix("Value error, ")
        else:
            return candidate
    raise UsageError(f"{file}: {'.'.join(key)}: {problem} (is {text!r})")


def assign(text: str, key: Key, value: object, file: str) -> str:
    """`text` with the value at a key, and everything else as it was, comments too.

    UsageError if a tier on the way is not there; ConfigError where the file cannot be edited so.
    """
    expected = tomllib.loads(text)
    _put(expected, key, value, file)
    if expected == tomllib.loads(text):
        return text
    document = tomlkit.parse(text)
    try:
        _put(document, key, value, file)
        edited = tomlkit.dumps(document)
        right = tomllib.loads(edited) == expected
    except (TOMLKitError, tomllib.TOMLDecodeError):
        right = False
    if not right:
        # Tables written in an unusual order are beyond tomlkit; better none than a wrong edit.
        raise ConfigError(
            f"{file}: {'.'.join(key)}: the tables of this file stand in an order that cannot be "
            "edited by program",
            hint=f"edit that key in {file} by hand",
        )
    return edited


def _readings(text: str) -> list[object]:
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return [text]
    return [found["value"], text] if len(found) == 1 else [text]


def _put(table: Any, key: Key, value: object, file: str) -> None:
    """Set a key in nested tables: plain ones, or tomlkit's, whose types promise too little."""
    created: list[AbstractTable] = []
    for depth, part in enumerate(key[:-1]):
        if isinstance(table, Mapping) and part not in table:
            _insert(table, part, tomlkit.table() if isinstance(table, _TOMLKIT) else {})
            if isinstance(table[part], AbstractTable):
                created = [table[part]]
        table = _step(table, part, key[: depth + 1], file)
    if not isinstance(table, Mapping):
        raise UsageError(f"{file}: {'.'.join(key)}: set one key of it, or edit the file")
    _insert(table, key[-1], value)
    for each in created:
        each.add(tomlkit.nl())


def _insert(table: Any, name: str, value: object) -> None:
    """Set a key; a new one goes after the last, before comments that announce the next table."""
    trailing: list[Any] = []
    if name not in table and isinstance(table, AbstractTable):
        body = table.value.body
        while body and isinstance(body[-1][1], Comment | Whitespace):
            trailing.insert(0, body.pop())
    table[name] = value
    if trailing:
        table.value.body.extend(trailing)


def _step(tree: object, part: str, key: Key, file: str) -> object:
    if isinstance(tree, Mapping):
        if part in tree:
            return tree[part]
        known = list(tree)
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        tables = [row for row in tree if isinstance(row, Mapping)]
        rows = {str(row.get("id", n)): row for n, row in enumerate(tables)}
        if part in rows:
            return rows[part]
        known = list(rows)
    else:
        known = []
    raise UsageError(f"{file}: {'.'.join(key)}: not there{nearest.advice(part, known)}")


def _unknown(root: type[BaseModel], key: Key, file: str) -> UsageError:
    depth = next(n for n in range(len(key)) if schema.holds(root, key[: n + 1]) is None)
    known = schema.names(schema.holds(root, key[:depth]))
    advice = nearest.advice(key[depth], known)
    return UsageError(f"{file}: {'.'.join(key[: depth + 1])}: unknown key{advice}")
