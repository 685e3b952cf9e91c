"""What an image of ours is made of, and the tag that follows from exactly that."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

# Every image starts from this one, so the hosts that have no registry need to make only it.
BASE = "debian:trixie-slim"
BUILD_LABEL = "dev.anvil.build"
DOCKERFILE = "Dockerfile"

# The parts of the package that an image holds; compose/NAME/ has its Dockerfile and its wheels.
_PARTS = {
    "control": ("__init__.py", "errors.py", "serving", "upstream", "router", "multiplexer"),
    "store": ("__init__.py", "weights", "transfer"),
}
_FROM = re.compile(r"^FROM[ \t]+(?:--\S+[ \t]+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?", re.MULTILINE | re.I)
_ARGUMENT = re.compile(r"^ARG[ \t]+(\w+)(?:=(\S*))?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Image:
    """A build context: `files` maps paths in the context to what they hold or where it lies."""

    name: str
    files: Mapping[str, Path | bytes]

    @property
    def digest(self) -> str:
        """Twelve hex digits over the base's name and every file: path, execute bit, bytes."""
        found = hashlib.sha256(f"{BASE}\n".encode())
        for path in sorted(self.files):
            data = self._read(path)
            found.update(f"{path}\n{self._executable(path):d} {len(data)}\n".encode())
            found.update(data)
        return found.hexdigest()[:12]

    @property
    def tag(self) -> str:
        return f"{self.name}:{self.digest}"

    @property
    def arguments(self) -> dict[str, str]:
        """The build arguments that the Dockerfile declares, with their defaults."""
        text = self._read(DOCKERFILE).decode()
        return {found[1]: found[2] or "" for found in _ARGUMENT.finditer(text)}

    @property
    def bases(self) -> list[str]:
        """The images that the Dockerfile starts from, its own stages left out.

        An argument in a name stands for its default: `ARG BASE=x`, `FROM ${BASE}`.
        """
        text = Template(self._read(DOCKERFILE).decode()).safe_substitute(self.arguments)
        found = _FROM.findall(text)
        stages = {stage for _base, stage in found}
        return list(dict.fromkeys(base for base, _stage in found if base not in stages))

    def write(self, folder: Path) -> None:
        """Lay the context out in `folder`, readable for the image's own user."""
        for path in self.files:
            target = folder / path
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            target.write_bytes(self._read(path))
            target.chmod(0o755 if self._executable(path) else 0o644)

    def _read(self, path: str) -> bytes:
        source = self.files[path]
        return source if isinstance(source, bytes) else source.read_bytes()

    def _executable(self, path: str) -> bool:
        source = self.files[path]
        return isinstance(source, Path) and bool(source.stat().st_mode & 0o100)


def catalog(bundle: Path, package: Path) -> dict[str, Image]:
    """Every image that can be built here, by short name.

    `bundle` holds compose/ and engines/; `package` is the folder of anvil_ctl. An engine's
    `Dockerfile` gives an image of the engine's name and `Dockerfile.cpu` one of `<name>-cpu`,
    each with the files of the engine's `context/` folder, where it has one.
    """
    found = {
        **{name: _of_package(name, bundle / "compose" / name, package) for name in _PARTS},
        "guard": Image("anvil/guard", dict(_tree(bundle / "compose" / "guard"))),
    }
    for dockerfile in sorted((bundle / "engines").glob("*/Dockerfile*")):
        short = dockerfile.parent.name + dockerfile.name.removeprefix(DOCKERFILE).replace(".", "-")
        extra = _tree(dockerfile.parent / "context")
        found[short] = Image(f"anvil/{short}", {**dict(extra), DOCKERFILE: dockerfile})
    return found


def _of_package(name: str, folder: Path, package: Path) -> Image:
    files = {name: folder / name for name in (DOCKERFILE, "requirements.txt")}
    for part in _PARTS[name]:
        for path, source in _tree(package / part):
            files[f"anvil_ctl/{part}/{path}" if path else f"anvil_ctl/{part}"] = source
    return Image(f"anvil/{name}", files)


def _tree(root: Path) -> Iterator[tuple[str, Path]]:
    """The files at or under `root` with their paths relative to it, bytecode left out."""
    if root.is_file():
        yield "", root
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(root).as_posix(), path
