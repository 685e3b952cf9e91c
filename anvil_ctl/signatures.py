"""What an engine's last words mean: known failures by what a log says, as data.

`engines/signatures.toml` holds for every engine, `engines/<name>/signatures.toml` for one;
docs/reference/engine-folder.md has the keys. Pure, but for `load`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from anvil_ctl import datafile

# Of a log its end is looked at, and of each line its beginning: matching stays linear and small.
LINES = 400
_LINE = 2000


class Signature(BaseModel):
    """A failure that is known. `says` are texts of one line, each `*` in them any text between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    says: list[str] = []
    exit_codes: list[int] = []
    cause: str = Field(min_length=1)
    fix: str = Field(min_length=1)
    # The check of `doctor` or the compatibility rule that is about it.
    see: str = Field(pattern=r"^([A-Z]\d{2}[a-z]?|[a-z0-9]+-\d+)$")

    @model_validator(mode="after")
    def _it_can_be_seen(self) -> Self:
        if not self.says and not self.exit_codes:
            msg = f"signature {self.id} says nothing: give says or exit_codes"
            raise ValueError(msg)
        if any(not part.strip() for text in self.says for part in text.split("*")):
            msg = f"signature {self.id}: a * stands between two texts"
            raise ValueError(msg)
        return self

    def line_of(self, lines: Iterable[str]) -> str | None:
        """The first line that says it, in whatever case."""
        wanted = [text.lower().split("*") for text in self.says]
        return next((line for line in lines if any(_in_order(line, each) for each in wanted)), None)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A signature that was seen, and the line of the log that said it, "" for an exit code."""

    signature: Signature
    line: str

    def __str__(self) -> str:
        said = f" ({self.line})" if self.line else ""
        return f"{self.signature.cause}{said} [{self.signature.see}]"


@dataclass(frozen=True, slots=True)
class Signatures:
    """Those for every engine, and by engine those for one."""

    common: tuple[Signature, ...]
    engines: Mapping[str, tuple[Signature, ...]]

    @property
    def all(self) -> list[Signature]:
        return [*(each for own in self.engines.values() for each in own), *self.common]

    def classify(self, engine: str, log: str, exit_code: int | None = None) -> Diagnosis | None:
        """The first signature that fits, an engine's own before the others, texts before codes."""
        lines = [line.strip()[:_LINE] for line in log.splitlines()[-LINES:]]
        known: Sequence[Signature] = (*self.engines.get(engine, ()), *self.common)
        for each in known:
            line = each.line_of(lines)
            if line is not None:
                return Diagnosis(each, line[:200])
        return next((Diagnosis(each, "") for each in known if exit_code in each.exit_codes), None)


NO_SIGNATURES = Signatures((), {})


def _in_order(line: str, parts: Sequence[str]) -> bool:
    """Whether a line has all parts, one after the other."""
    line, at = line.lower(), 0
    for part in parts:
        found = line.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    signatures: list[Signature]


def load(folder: Path) -> Signatures:
    """Read the signatures under `engines/`; ConfigError names the file and what is wrong in it."""
    common, own = datafile.read_each(folder, "signatures.toml", _File)
    engines = {name: tuple(file.signatures) for name, file in own.items()}
    found = Signatures(tuple(common.signatures) if common else (), engines)
    datafile.refuse_twice(folder, "signatures", [each.id for each in found.all])
    return found
