"""Which files a definition is made of: anvil.toml, and for a mode a file of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anvil_ctl.config.model import MODES, Mode
from anvil_ctl.errors import ConfigError

Read = Callable[[Path], str]
VARIABLE = "ANVIL_CONFIG_"


class ModeFile(BaseModel):
    """[modes.NAME] of a mode that has a file of its own, and nothing else in this one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1, description="relative to the folder of anvil.toml")


@dataclass(frozen=True, slots=True)
class Sources:
    """anvil.toml and the files of the modes that have one."""

    main: Path
    files: Mapping[Mode, Path] = field(default_factory=dict)

    def of(self, key: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
        """The file that holds a key of the whole definition, and the key within that file."""
        for mode, path in self.files.items():
            if key[:2] == ("modes", mode):
                return path, key[2:]
        return self.main, key


def read_file(path: Path) -> str:
    """The text of a file of the definition; ConfigError if there is none to be had."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        named = "correct `file` in the mode's section, or the ANVIL_CONFIG_ variable"
        hint = "anvil-ctl init" if path.name == "anvil.toml" else named
        raise ConfigError(f"{path} does not exist", hint=hint) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def read_toml(path: Path, read: Read) -> dict[str, object]:
    """The content of a TOML file; ConfigError names the file and the line."""
    try:
        return tomllib.loads(read(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def find(main: Path, content: Mapping[str, object], environ: Mapping[str, str]) -> Sources:
    """The files that a definition names: by ANVIL_CONFIG_<MODE>, or by `file` in the section.

    A variable wins over whatever the definition says. Blank variables count as unset.
    """
    files: dict[Mode, Path] = {}
    modes = content.get("modes")
    for mode in MODES:
        entry = modes.get(mode) if isinstance(modes, dict) else None
        named = environ.get(VARIABLE + mode.upper(), "").strip()
        if named:
            files[mode] = Path(named).expanduser().absolute()
        elif isinstance(entry, dict) and "file" in entry:
            files[mode] = main.parent / Path(_file(main, mode, entry)).expanduser()
    _refuse_unknown(environ)
    return Sources(main, files)


def _file(main: Path, mode: Mode, entry: Mapping[str, object]) -> str:
    rest = ", ".join(sorted(set(entry) - {"file"}))
    if rest:
        raise ConfigError(
            f"{main}: modes.{mode}: the mode has a file and a section (file and: {rest})",
            hint=f"keep either `file` or the rest of [modes.{mode}]",
        )
    try:
        return ModeFile.model_validate(entry, strict=True).file
    except ValidationError as error:
        given = entry["file"]
        raise ConfigError(
            f"{main}: modes.{mode}.file: must be the name of a file (is {given!r})",
            hint=f'file = "{mode}.toml"',
        ) from error


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt mode in a variable's name would leave the wrong definition in force, unseen."""
    known = {VARIABLE + mode.upper() for mode in MODES}
    for name, value in environ.items():
        if name.startswith(VARIABLE) and value.strip() and name not in known:
            raise ConfigError(
                f"{name}: {name.removeprefix(VARIABLE).lower()!r} is not a mode; "
                f"modes: {', '.join(MODES)}",
                hint=f"unset {name}",
            )
