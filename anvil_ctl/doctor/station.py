"""What the files of this host say: the installation's own, and the host's."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from anvil_ctl import __version__
from anvil_ctl.config import Mode
from anvil_ctl.doctor.survey import SHARED_MEMORY, HomeSeen, JournalSeen, Station
from anvil_ctl.hardware import read_host
from anvil_ctl.paths import PACKAGE, Home
from anvil_ctl.site import Site

# How engines and their libraries name what they share between processes.
_SHARED = re.compile(r"^(psm_|torch_|nccl-|sglang|vllm|kt_|cuda\.shm)")
_WORTH_SAYING = 64 << 20


def home(found: Home, site: Site | None, mode: Mode, journal: JournalSeen) -> HomeSeen:
    """The user's folder: the secrets' permissions, and what is rendered for a mode."""
    return HomeSeen(
        definition=str(found.config),
        secrets=str(found.secrets),
        secrets_mode=_permissions(found.secrets),
        installed=_installed(site, mode) if site else {},
        journal=journal,
        free=free_bytes(found.root),
    )


def _installed(site: Site, mode: Mode) -> Mapping[str, str | None]:
    folder = site.control_folder / "control"
    paths = {"compose.yaml": site.compose_file(mode)}
    paths |= {name: folder / name for name in ("router.toml", "registry.json")}
    return {name: _text(path) for name, path in paths.items()}


def station(docker_info: Mapping[str, object]) -> Station:
    """This host, with what the Docker engine says of the machine that it runs on."""
    return Station(
        hardware=read_host(docker_info or None),
        today=date.today(),
        page_cache=page_cache(_text(Path("/proc/meminfo")) or ""),
        encoding=sys.stdout.encoding or "ascii",
        version=__version__,
        installed_version=_installed_version(),
        package=str(PACKAGE),
        temporary=PACKAGE.is_relative_to(tempfile.gettempdir()),
        shared_memory=_shared_memory(Path(SHARED_MEMORY)),
    )


def page_cache(meminfo: str) -> int | None:
    """Bytes of the page cache by a /proc/meminfo."""
    found = re.search(r"^Cached:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found[1]) << 10 if found else None


def free_bytes(path: Path) -> int | None:
    """Free space of a folder's disk; None where the folder is not on this host."""
    try:
        return shutil.disk_usage(path).free if path.is_absolute() else None
    except OSError:
        return None


def _shared_memory(folder: Path) -> Mapping[str, int]:
    """What engines left in shared memory, by name, in bytes; nothing where it is little."""
    try:
        named = [each for each in folder.iterdir() if _SHARED.match(each.name)]
        found = {each.name: each.stat().st_size for each in named}
    except OSError:
        return {}
    return found if sum(found.values()) >= _WORTH_SAYING else {}


def _installed_version() -> str:
    try:
        return importlib.metadata.version("anvil-ctl")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _permissions(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
