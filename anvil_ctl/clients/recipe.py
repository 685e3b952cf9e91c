"""Reads the templates in templates/clients/: one file is one client, and there is no other list."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from anvil_ctl.clients import settings
from anvil_ctl.clients.facts import Facts, answer_tokens
from anvil_ctl.config import nearest
from anvil_ctl.errors import ConfigError, UsageError
from anvil_ctl.templating import environment

_SUFFIX = ".toml.j2"


class Settings(BaseModel):
    """A JSON or TOML file of the client, and the values that have to be in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1)
    values: dict[str, JsonValue] = Field(min_length=1)


class Recipe(BaseModel):
    """How one client reaches the router. `variables` are printed as shell exports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    text: str = ""
    variables: dict[str, str] = {}
    settings: Settings | None = None

    def __str__(self) -> str:
        parts = [self.text.strip()] if self.text.strip() else []
        if self.variables:
            parts.append(
                "\n".join(f"export {name}={shlex.quote(v)}" for name, v in self.variables.items())
            )
        if self.settings:
            body = settings.shown(self.settings.values, self.settings.file)
            parts.append(f"In {self.settings.file} (or let --write merge it in):\n\n{body}")
        return "\n\n".join(parts)


def names(templates: Path) -> list[str]:
    """The clients that there is a recipe for."""
    found = (templates / "clients").glob(f"*{_SUFFIX}")
    return sorted(each.name.removesuffix(_SUFFIX) for each in found)


def read(templates: Path, name: str, facts: Facts) -> Recipe:
    """The recipe of a client, filled in. UsageError if there is none of that name."""
    known = names(templates)
    if name not in known:
        raise UsageError(
            f"{name!r} is not a client with a recipe{nearest.advice(name, known)}; "
            f"clients: {', '.join(known)}",
            hint="anvil-ctl connect openai",
        )
    path = templates / "clients" / f"{name}{_SUFFIX}"
    try:
        text = (
            environment()
            .from_string(path.read_text(encoding="utf-8"))
            .render(facts=facts, answer_tokens=answer_tokens)
        )
        return Recipe.model_validate(tomllib.loads(text))
    except (TemplateError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error
