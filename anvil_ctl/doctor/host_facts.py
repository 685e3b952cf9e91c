"""What can be seen of this host before anything of ours is installed: the standard library only."""

from __future__ import annotations

import errno
import grp
import importlib.util
import os
import pwd
import re
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anvil_ctl import proc

# The router, its admin port, the multiplexer and its admin port, as a new site has them.
PORTS = (8000, 8001, 8002, 8003)
# Tiny, pure Python and locked: fetching it proves index, certificates and proxy at once.
PROBE_PACKAGE = "annotated-doc"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended and what it printed."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder on a disk with what is free there and what will be written to it, in bytes."""

    path: str
    device: int
    free: int
    needed: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the checks decide from. None stands for: was not looked at."""

    python: tuple[int, ...]
    has_venv: bool
    debian: bool
    root: bool
    docker: Answer | None
    docker_host: str = ""
    group_pending: bool = False
    compose: Answer | None = None
    disks: tuple[Disk, ...] = ()
    taken_ports: tuple[int, ...] = ()
    own_ports: frozenset[int] = field(default_factory=frozenset)
    index: Answer | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a set-up writes in each place."""

    docker: int
    repository: int
    cache: int
    scratch: int


# From nothing: three images of 80 to 160 MB, twice that while they are built, and the model; the
# virtual environment with the development tools; the model's wheel; one base and one build context.
FIRST_RUN = Needs(2000 << 20, 500 << 20, 250 << 20, 350 << 20)
# Later runs write logs and layers of edited images.
LATER_RUN = Needs(400 << 20, 50 << 20, 0, 50 << 20)


def gather(
    repository: Path,
    environ: Mapping[str, str],
    *,
    download: bool,
    ports: Iterable[int] = (),
) -> Facts:
    """Look at this host.

    `download` says that packages are still to be fetched; `ports` are those that a new site
    will publish.
    """
    docker = _docker_info() if shutil.which("docker") else None
    running = docker is not None and docker.status == 0
    home = Path(environ.get("ANVIL_HOME") or Path.home() / ".anvil")
    venv = importlib.util.find_spec("ensurepip") is not None
    needs = FIRST_RUN if download else LATER_RUN
    places = [(repository, needs.repository), (home, needs.cache)]
    places.append((Path(tempfile.gettempdir()), needs.scratch))
    if running and docker is not None:
        places.append((Path(docker_root(docker.output)), needs.docker))
    return Facts(
        python=tuple(sys.version_info[:3]),
        has_venv=venv,
        debian=is_debian(_text(Path("/etc/os-release"))),
        root=os.geteuid() == 0,
        docker=docker,
        docker_host=environ.get("DOCKER_HOST", ""),
        group_pending=_group_pending(),
        compose=_run(["docker", "compose", "version", "--short"]) if docker else None,
        disks=tuple(_disks(places)),
        # A site that exists has ports of its own, which `anvil-ctl doctor` knows.
        taken_ports=() if (home / "anvil.toml").exists() else taken(ports),
        own_ports=_own_ports() if running else frozenset(),
        index=_ask_index(repository) if download and venv else None,
    )


def is_debian(os_release: str) -> bool:
    """Whether an os-release file describes Debian or one of its descendants."""
    return bool(re.search(r"^ID(_LIKE)?=\"?.*\b(debian|ubuntu)\b", os_release, re.MULTILINE))


def docker_root(info: str) -> str:
    """The data folder in the output of `docker info` as it is asked for here."""
    return info.strip().splitlines()[0].partition("|")[2] or "/"


def published_ports(listing: str) -> frozenset[int]:
    """The host ports in the Ports column of `docker ps`, ranges expanded."""
    found: set[int] = set()
    for first, last in re.findall(r":(\d+)(?:-(\d+))?->", listing):
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _docker_info() -> Answer:
    return _run(["docker", "info", "--format", "{{.ServerVersion}}|{{.DockerRootDir}}"], 15)


def _own_ports() -> frozenset[int]:
    label = "label=dev.anvil.project"
    return published_ports(
        _run(["docker", "ps", "--filter", label, "--format", "{{.Ports}}"]).output
    )


def _run(argv: list[str], timeout_s: float = 10) -> Answer:
    try:
        return Answer(0, proc.run(argv, timeout_s=timeout_s))
    except proc.ProcessError as error:
        return Answer(error.status, error.output)


def _disks(places: Iterable[tuple[Path, int]]) -> Iterable[Disk]:
    """One Disk for each file system, its needs added up; places that are not here are left out."""
    found: dict[int, Disk] = {}
    for place, needed in places:
        path = next((each for each in (place, *place.parents) if each.exists()), None)
        # A remote daemon's data folder is not a folder of this host.
        if path is None or (path != place and path == Path("/")):
            continue
        device = path.stat().st_dev
        before = found.get(device)
        total = needed + (before.needed if before else 0)
        name = before.path if before else str(path)
        found[device] = Disk(name, device, shutil.disk_usage(path).free, total)
    return found.values()


def taken(ports: Iterable[int]) -> tuple[int, ...]:
    """Those of the ports that another program listens on."""
    return tuple(port for port in ports if _is_taken(port))


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As a server would: connections that linger after a stop do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _group_pending() -> bool:
    """Whether this user was put into the group `docker` after this session began."""
    try:
        group = grp.getgrnam("docker")
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
    return user in group.gr_mem and group.gr_gid not in os.getgroups()


def _ask_index(repository: Path) -> Answer | None:
    """Fetch one tiny locked package with the pip at hand; None where there is no pip to ask."""
    pip = _pip()
    lock = _text(repository / "requirements" / "base.txt")
    pinned = re.search(rf"^{PROBE_PACKAGE}==\S+", lock, re.MULTILINE)
    if pip is None or pinned is None:
        return None
    quick = ["--no-deps", "--no-cache-dir", "--retries", "1", "--timeout", "8", "--quiet"]
    with tempfile.TemporaryDirectory(prefix="anvil-index-") as folder:
        argv = [sys.executable, pip, "download", *quick, "--dest", folder, pinned[0]]
        return _run(argv, 60)


def _pip() -> str | None:
    """A path that the interpreter can run as pip: a wheel that venv would install is enough."""
    found = importlib.util.find_spec("ensurepip")
    places = [Path(found.origin).parent / "_bundled"] if found and found.origin else []
    configured = sysconfig.get_config_var("WHEEL_PKG_DIR")
    # Debian keeps the wheels of its ensurepip in the last of these, and no variable says so.
    places += [Path(configured)] if configured else []
    places += [Path("/usr/share/python-wheels")]
    wheels = [wheel for place in places for wheel in sorted(place.glob("pip-*.whl"))]
    return f"{wheels[0]}/pip" if wheels else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
