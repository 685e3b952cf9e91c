"""Jinja for files that are not HTML, and short hashes of what was rendered. Pure."""

from __future__ import annotations

import hashlib
import json

import tomlkit
from jinja2 import Environment, StrictUndefined


def environment() -> Environment:
    """Undefined names are errors, nothing is escaped, quoting is by filter: `q` or `toml`."""
    jinja = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701
    jinja.filters["q"] = _compose_value
    jinja.filters["toml"] = lambda value: tomlkit.item(value).as_string()
    return jinja


def _compose_value(value: object) -> str:
    """`value` as JSON, which is YAML, with `$` doubled so that Compose leaves it alone."""
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")


def digest(text: str) -> str:
    """The first 16 hex digits of a text's sha256: enough to tell two definitions apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
