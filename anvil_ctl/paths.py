"""Where things are: the bundle's own data files, and the user's `$ANVIL_HOME`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def bundle() -> Path:
    """The folder that holds compose/, engines/, templates/ and volumes/.

    Inside the package for an installed wheel, beside it in a source checkout.
    """
    installed = PACKAGE / "_data"
    return installed if installed.is_dir() else PACKAGE.parent


@dataclass(frozen=True, slots=True)
class Home:
    """The user's folder, `$ANVIL_HOME` (default `~/.anvil`), and what lies in it."""

    root: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Home:
        configured = environ.get("ANVIL_HOME", "").strip()
        return cls(Path(configured).expanduser().absolute() if configured else default_home())

    def make(self) -> None:
        """See that the folder is there; it holds secrets, so it is its user's alone."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)

    @property
    def config(self) -> Path:
        return self.root / "anvil.toml"

    @property
    def secrets(self) -> Path:
        return self.root / ".env"

    @property
    def image_lock(self) -> Path:
        return self.root / "images.lock"

    @property
    def models(self) -> Path:
        return self.root / "models.json"

    @property
    def rendered(self) -> Path:
        return self.root / "rendered"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def evidence(self) -> Path:
        return self.root / "evidence"

    @property
    def hooks(self) -> Path:
        return self.root / "hooks"

    @property
    def cache(self) -> Path:
        return self.root / "cache"


def default_home() -> Path:
    return Path.home() / ".anvil"
