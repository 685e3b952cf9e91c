"""A wheel from the package index that the host's pip knows, kept for the next time."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl import proc
from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Report
from anvil_ctl.history import History

Download = Callable[[str, Path], None]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package at a version. `sha256` is the wheel's, where it is pinned; `size` is bytes."""

    package: str
    version: str
    again: str
    sha256: str = ""
    size: int = 0

    @property
    def requirement(self) -> str:
        """One line of a requirements file; with a hash, pip checks it."""
        proof = f" --hash=sha256:{self.sha256}" if self.sha256 else ""
        return f"{self.package}=={self.version}{proof}\n"


def pip_download(requirement: str, folder: Path) -> None:
    """Let pip fetch one wheel into `folder`; an interrupted transfer is resumed."""
    wanted = folder / "wanted.txt"
    wanted.write_text(requirement, encoding="utf-8")
    proved = ["--require-hashes"] if "--hash=" in requirement else []
    proc.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet"),
            *("--disable-pip-version-check", "--no-deps", "--only-binary=:all:"),
            *(*proved, "--dest", str(folder), "--requirement", str(wanted)),
        ],
        # An environment variable, as a pip that is too old to resume ignores it.
        env={**os.environ, "PIP_RESUME_RETRIES": "5"},
        timeout_s=3600,
    )


def bring(
    wheel: Wheel,
    cache: Path,
    report: Report,
    history: History,
    *,
    text: str,
    download: Download = pip_download,
) -> Path:
    """The wheel's path in `cache`, where it stays: what was removed is filled again offline."""
    cache.mkdir(parents=True, exist_ok=True)
    pattern = f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl"
    for known in cache.glob(pattern):
        if not wheel.sha256 or sha256(known) == wheel.sha256:
            return known
    # 10 MB/s until this machine has shown its own figure.
    with (
        history.step(report, f"{wheel.package} download", text, wheel.size / 10e6),
        tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder,
    ):
        try:
            download(wheel.requirement, Path(folder))
        except proc.ProcessError as error:
            raise AnvilError(
                f"{wheel.package} {wheel.version} could not be downloaded: {error.message}",
                hint=f"check pip's package index ({sys.executable} -m pip config list), "
                f"then: {wheel.again}",
            ) from error
        for found in Path(folder).glob(pattern):
            return found.replace(cache / found.name)
    raise AnvilError(f"pip fetched no wheel of {wheel.package} {wheel.version}", hint=wheel.again)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
