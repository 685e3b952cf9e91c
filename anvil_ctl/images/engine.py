"""What building images needs of a Docker engine, and of the host that it runs on."""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from anvil_ctl import proc
from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event, Report, State


class ImageEngine(Protocol):
    """The part of Docker that makes images; its own failures are AnvilErrors."""

    def info(self) -> Mapping[str, object]: ...
    def has_image(self, tag: str) -> bool: ...
    def pull(self, reference: str, timeout_s: float) -> bool: ...
    def build(
        self, context: Path, tag: str, build_args: Mapping[str, str], labels: Mapping[str, str]
    ) -> None: ...
    def import_rootfs(self, archive: Path, tag: str) -> None: ...
    def tag(self, source: str, target: str) -> None: ...
    def run(self, image: str, command: Sequence[str]) -> str: ...


class Host(Protocol):
    """The part of this machine that makes what no registry gives."""

    @property
    def root(self) -> bool: ...
    @property
    def mirror_override(self) -> str: ...
    @property
    def os_release(self) -> str: ...
    def has(self, command: str) -> bool: ...
    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 600
    ) -> str: ...
    def head(self, url: str) -> str: ...


@dataclass(frozen=True, slots=True)
class LocalHost:
    """This machine. `ANVIL_DEBIAN_MIRROR` names a Debian mirror where apt's own is none."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def root(self) -> bool:
        return os.geteuid() == 0

    @property
    def mirror_override(self) -> str:
        return self.environ.get("ANVIL_DEBIAN_MIRROR", "").strip()

    @property
    def os_release(self) -> str:
        try:
            return Path("/etc/os-release").read_text(encoding="utf-8")
        except OSError:
            return ""

    def has(self, command: str) -> bool:
        return shutil.which(command) is not None

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 600
    ) -> str:
        return proc.run(argv, env={**self.environ, **(env or {})}, timeout_s=timeout_s)

    def head(self, url: str) -> str:
        """The first 8 KiB of a text on the web; AnvilError where it cannot be had."""
        if not url.startswith(("http://", "https://")):
            raise AnvilError(f"cannot read {url}: only http and https mirrors are supported")
        try:
            with urllib.request.urlopen(url, timeout=15) as answer:  # noqa: S310 - scheme checked
                return str(answer.read(8192).decode("utf-8", "replace"))
        except (OSError, urllib.error.URLError) as error:
            raise AnvilError(f"cannot read {url}: {error}") from error


# A registry without a route fails by the daemon's own limit after about 15 s, one without a
# name at once; the rest of the minute is for the base's 30 MB on a slow line.
BASE_PULL_S = 60.0
OFFICIAL_PULL_S = 3600.0


@dataclass(slots=True)
class Registries:
    """Pulls that ask each registry once a run: after one failure it counts as out of reach."""

    silent: set[str] = field(default_factory=set)

    def pull(
        self, docker: ImageEngine, reference: str, timeout_s: float, name: str, report: Report
    ) -> bool:
        """Whether `reference` came, reported as the step `name`."""
        registry = registry_of(reference)
        if registry in self.silent:
            return False
        started = time.monotonic()
        report(Event(name, f"ask a registry for {reference}", State.WORKING, 0.0, 2.0))
        pulled = docker.pull(reference, timeout_s)
        text = f"{reference} pulled" if pulled else f"no registry gives {reference}"
        state = State.DONE if pulled else State.SKIPPED
        report(Event(name, text, state, time.monotonic() - started))
        if not pulled:
            self.silent.add(registry)
        return pulled


def registry_of(reference: str) -> str:
    """The registry part of an image reference; "" stands for the engine's default one."""
    first, slash, _rest = reference.partition("/")
    named = slash and (first == "localhost" or "." in first or ":" in first)
    return first if named else ""
