"""Compatibility rules are data: what a rule may say, and reading the files that say it.

`engines/rules.toml` holds for every engine, `engines/<name>/rules.toml` for one.
docs/reference/rules.md names the vocabulary and every rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from anvil_ctl import datafile

Scalar = str | int | float | bool
_BOUND = re.compile(r"(<=|>=|<|>)(\d+(?:\.\d+)*)")


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        msg = f"{text!r} is not a regular expression: {error}"
        raise ValueError(msg) from error
    return text


def _bounds(text: str) -> str:
    if text != "*" and not all(_BOUND.fullmatch(part) for part in text.split(",")):
        msg = f"{text!r} is neither * nor bounds such as >=0.25.1,<0.34"
        raise ValueError(msg)
    return text


Pattern = Annotated[str, AfterValidator(_compiles)]
FieldName = Annotated[
    str,
    Field(pattern=r"^(mode|(tier|role|machine|engine|image|model|command|flag|environment)\.\S+)$"),
]


class Condition(BaseModel):
    """One test of one fact. An absent fact passes `not_in`, `not_matches` and `present = false`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: FieldName
    equals: Scalar | None = None
    any_of: list[Scalar] | None = Field(default=None, alias="in")
    not_in: list[Scalar] | None = None
    matches: Pattern | None = None
    not_matches: Pattern | None = None
    present: bool | None = None
    less_than: float | None = None
    more_than: float | None = None
    more_than_field: FieldName | None = None

    @model_validator(mode="after")
    def _it_is_one_test(self) -> Self:
        given = self.model_dump(exclude={"field"}, exclude_none=True)
        if len(given) != 1:
            msg = f"the condition on {self.field} has {len(given)} tests: give exactly one"
            raise ValueError(msg)
        return self


class Rule(BaseModel):
    """All conditions met: the verdict. `{fact}` in message and remedy becomes the fact's value.

    An `add` rule gives the engine arguments or variables that its conditions found to be missing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^([A-Z]\d{2}[a-z]?|[a-z0-9]+-\d+)$")
    # The check of `doctor` that it is part of.
    check: str = Field(default="D13", pattern=r"^D\d{2}$")
    verdict: Literal["deny", "warn", "add"]
    when: list[Condition] = Field(min_length=1)
    message: str = Field(min_length=1)
    why: str = Field(min_length=1)
    remedy: str = Field(min_length=1)
    source: str = Field(min_length=1)
    # Of the engine that it is about: * or bounds such as >=0.25.1,<0.34.
    versions: Annotated[str, AfterValidator(_bounds)] = "*"
    review_by: date
    arguments: list[str] = []
    environment: dict[str, str] = {}

    @model_validator(mode="after")
    def _it_adds_if_it_says_so(self) -> Self:
        if (self.verdict == "add") != bool(self.arguments or self.environment):
            msg = 'arguments and environment go with verdict = "add", and one of them is needed'
            raise ValueError(msg)
        return self

    def covers(self, version: str) -> bool:
        """Whether an engine's version is in the range; numbers are compared, part by part."""
        if self.versions == "*":
            return True
        found = _numbers(version)
        return all(
            _within(found, operator, _numbers(bound))
            for operator, bound in _BOUND.findall(self.versions)
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[Rule]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Rules for every engine, and by engine those for one."""

    common: tuple[Rule, ...]
    engines: Mapping[str, tuple[Rule, ...]]

    def of(self, engine: str, version: str) -> list[Rule]:
        """The rules that concern a version of an engine."""
        rules = (*self.common, *self.engines.get(engine, ()))
        return [rule for rule in rules if rule.covers(version)]

    @property
    def all(self) -> list[Rule]:
        return [*self.common, *(rule for rules in self.engines.values() for rule in rules)]


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.findall(r"\d+", version)]
    # 0.34 and 0.34.0 are one version.
    return tuple([*parts, 0, 0, 0][:4])


def _within(version: tuple[int, ...], operator: str, bound: tuple[int, ...]) -> bool:
    if version == bound:
        return operator.endswith("=")
    return (version < bound) == operator.startswith("<")


def load(folder: Path) -> Rulebook:
    """Read the rules under `engines/`; ConfigError names the file and the rule that is wrong."""
    common, own = datafile.read_each(folder, "rules.toml", _File)
    engines = {name: tuple(file.rules) for name, file in own.items()}
    book = Rulebook(tuple(common.rules) if common else (), engines)
    datafile.refuse_twice(folder, "rules", [rule.id for rule in book.all])
    return book
