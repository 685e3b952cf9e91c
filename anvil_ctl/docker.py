"""The one door to Docker: python-on-whales underneath, plain records and AnvilErrors above."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from python_on_whales import Container as Inspected
from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException, NoSuchContainer, NoSuchImage

from anvil_ctl import proc
from anvil_ctl.compose import Compose, Project
from anvil_ctl.docker_errors import DockerError, failure, translated
from anvil_ctl.errors import DockerMissingError


@dataclass(frozen=True, slots=True)
class Container:
    """What `docker inspect` says of one container, cut to what decisions need."""

    name: str
    image: str
    status: str
    health: str | None
    exit_code: int
    labels: Mapping[str, str] = field(default_factory=dict)
    restarts: int = 0
    host_ports: frozenset[int] = frozenset()
    # Whether it is on any network: without one its ports are not published either.
    attached: bool = True

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image on this engine; `digests` are `name@sha256:...`, as registries know it."""

    id: str
    size: int
    digests: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Socket:
    """The engine's socket as a container sees it: its path on the host, and its group."""

    path: str
    gid: int


class Docker:
    """Docker Engine and Compose, as far as anvil-ctl uses them. Every failure is a DockerError."""

    def __init__(self) -> None:
        if shutil.which("docker") is None:
            raise DockerMissingError(
                "there is no docker command on PATH",
                hint="install Docker Engine (on Debian: apt install docker.io), then: make up",
            )
        self._found: Compose | None = None
        self._address = ""

    # -- engine ----------------------------------------------------------------------------

    def info(self) -> dict[str, object]:
        """`docker info` as a mapping; DockerError if the daemon does not answer."""
        try:
            text = proc.run(["docker", "info", "--format", "{{json .}}"], timeout_s=15)
        except proc.ProcessError as error:
            raise failure(error.output) from error
        found = json.loads(text[text.index("{") :].splitlines()[0])
        errors = found.get("ServerErrors") or []
        if errors or not found.get("ServerVersion"):
            raise failure("; ".join(errors) or "the Docker daemon does not answer")
        return dict(found)

    def endpoint(self) -> str:
        """Where the docker command finds the engine: by DOCKER_HOST or its current context."""
        wanted = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        try:
            return proc.run(wanted, timeout_s=15).strip()
        except proc.ProcessError as error:
            raise failure(error.output) from error

    def socket(self) -> Socket:
        """The engine's unix socket; DockerError where the engine is reached in another way."""
        named = os.environ.get("DOCKER_HOST", "").strip()
        self._address = self._address or named or self.endpoint()
        scheme, _, path = self._address.partition("://")
        if scheme != "unix":
            # Engines publish on their own host's loopback, and files are mounted from it.
            who = "DOCKER_HOST is" if named else "the docker context leads to"
            unset = "DOCKER_HOST unset" if named else "its own context: docker context use default"
            raise DockerError(
                f"{who} {self._address}: the guard needs one on a unix socket of this machine",
                hint=f"run anvil-ctl on the machine that has the engine, with {unset}",
            )
        # Docker Desktop hands containers the socket of its virtual machine, owned by root.
        if "Docker Desktop" in str(self.info().get("OperatingSystem")):
            return Socket("/var/run/docker.sock", 0)
        return Socket(path, Path(path).stat().st_gid)

    def compose_version(self) -> tuple[int, ...]:
        """The version of the Compose that will be used; () where there is none."""
        return self._compose().version

    def project(
        self,
        name: str,
        *files: Path,
        env_files: Sequence[Path] = (),
        hidden: Sequence[str] = (),
    ) -> Project:
        """The Compose project `name` as defined by `files`, each laid over those before it.

        Where the files are gone, Compose still finds the project's containers by their labels.
        What the env files say of `hidden` holds, whatever the shell has by these names.
        """
        return self._compose().project(name, files, env_files, hidden)

    def _compose(self) -> Compose:
        self._found = self._found or Compose.find()
        return self._found

    def _client(self) -> DockerClient:
        return DockerClient()

    # -- containers ------------------------------------------------------------------------

    def containers(self, label: str) -> list[Container]:
        """All containers, running or not, that carry `label` (`key` or `key=value`)."""
        with translated():
            found = self._client().container.list(all=True, filters=[("label", label)])
            return sorted((_record(each) for each in found), key=lambda each: each.name)

    def container(self, name: str) -> Container | None:
        """One container by name, or None if there is none of that name."""
        with translated():
            try:
                return _record(self._client().container.inspect(name))
            except NoSuchContainer:
                return None

    def remove_container(self, name: str) -> None:
        """End a container at once and remove it."""
        with translated():
            self._client().container.remove(name, force=True)

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
        with translated():
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

    # -- images ----------------------------------------------------------------------------

    def has_image(self, tag: str) -> bool:
        return self.image(tag) is not None

    def image(self, reference: str) -> LocalImage | None:
        """An image by tag, digest or both, or None; of both, the digest counts."""
        with translated():
            try:
                found = self._client().image.inspect(reference)
            except NoSuchImage:
                return None
            return LocalImage(
                id=found.id,
                size=found.size or 0,
                digests=tuple(found.repo_digests or ()),
                labels=dict((found.config and found.config.labels) or {}),
            )

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
            lines = [
                *(error.stdout or "").splitlines()[-6:],
                *(error.stderr or "").splitlines()[-1:],
            ]
            raise DockerError(
                f"building {tag} failed: " + " / ".join(line for line in lines if line.strip()),
                hint="anvil-ctl images build",
            ) from error

    def import_rootfs(self, archive: Path, tag: str) -> None:
        """Make an image of a root file system in a tar archive."""
        with translated():
            self._client().import_(archive, tag)

    def tag(self, source: str, target: str) -> None:
        with translated():
            self._client().image.tag(source, target)

    def image_tags(self) -> list[str]:
        """Every `repository:tag` on this engine."""
        with translated():
            return [tag for each in self._client().image.list() for tag in each.repo_tags]

    def images_in_use(self) -> frozenset[str]:
        """The images of all containers, running or not, as their makers named them."""
        with translated():
            found = self._client().container.list(all=True)
            return frozenset(each.config.image or "" for each in found)

    def remove_image(self, tag: str) -> None:
        with translated():
            self._client().image.remove(tag)

    # -- volumes and networks --------------------------------------------------------------

    def volume_exists(self, name: str) -> bool:
        with translated():
            return bool(self._client().volume.exists(name))

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        with translated():
            self._client().volume.create(name, labels=dict(labels))


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
        restarts=found.restart_count or 0,
        attached=bool(found.network_settings.networks),
        host_ports=frozenset(
            int(binding.host_port)
            for bindings in published.values()
            for binding in bindings or []
            if binding.host_port
        ),
    )
