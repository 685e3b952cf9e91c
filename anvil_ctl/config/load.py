"""anvil.toml -> Config, with errors that name the file, the key, the value and the remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from anvil_ctl.config import nearest, schema
from anvil_ctl.config.model import Config, ModeDefinition
from anvil_ctl.config.sources import Read, Sources, find, read_file, read_toml
from anvil_ctl.config.tier import RuleError
from anvil_ctl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Definition:
    """A valid definition, and the files that it is made of."""

    config: Config
    sources: Sources


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and validate a definition; ConfigError if it is absent or wrong."""
    return open_definition(path, environ).config


def parse(text: str, path: Path, beside: Mapping[str, str] | None = None) -> Config:
    """Validate the text of a definition; `path` is named in errors.

    `beside` has the modes' own files by name; one that it lacks is read from the disk.
    """
    known = {path: text, **{path.with_name(name): own for name, own in (beside or {}).items()}}
    return open_definition(path, {}, lambda each: known.get(each) or read_file(each)).config


def open_definition(path: Path, environ: Mapping[str, str], read: Read = read_file) -> Definition:
    """Read anvil.toml and the modes' own files through `read`, and validate them as one."""
    content = read_toml(path, read)
    sources = find(path, content, environ)
    modes = content.get("modes")
    if sources.files:
        own = {
            mode: _validate(ModeDefinition, read_toml(file, read), file)
            for mode, file in sources.files.items()
        }
        content["modes"] = {**(modes if isinstance(modes, dict) else {}), **own}
    try:
        return Definition(Config.model_validate(content), sources)
    except ValidationError as error:
        raise _wrong(error, Config, sources) from error


def _validate(model: type[ModeDefinition], content: object, file: Path) -> ModeDefinition:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _wrong(error, model, Sources(file)) from error


def _wrong(error: ValidationError, root: type[BaseModel], sources: Sources) -> ConfigError:
    """The first of the problems, as an error that names the file it is in."""
    problems = error.errors(include_url=False)
    first = _explain(problems[0], root)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    path = sources.main
    for mode, file in sources.files.items():
        # What the modes have to agree on is checked on the whole; the remedy is in the file.
        if first.startswith(f"modes.{mode}"):
            path, first = file, first.removeprefix(f"modes.{mode}").lstrip(":. ")
    cause = problems[0].get("ctx", {}).get("error")
    rule = cause.rule if isinstance(cause, RuleError) else ""
    remedy = (cause.remedy if isinstance(cause, RuleError) else "") or "edit that key"
    hint = f"{remedy}, then: anvil-ctl render"
    return ConfigError(f"{path}: {first}{more}", hint=hint, rule=rule)


def _explain(problem: ErrorDetails, root: type[BaseModel]) -> str:
    location = tuple(problem["loc"])
    where = ".".join(map(str, location)).removesuffix(".[key]")
    if problem["type"] == "extra_forbidden":
        known = schema.names(schema.holds(root, location[:-1]))
        return f"{where}: unknown key{nearest.advice(str(location[-1]), known)}"
    if problem["type"] == "missing":
        return f"{where}: required, and absent"
    text = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = f" (is {value!r})" if isinstance(value, (str, int, float, bool)) else ""
    if not where and text.startswith("modes."):
        return text
    return f"{where or 'the whole file'}: {text}{shown}"
