"""What nearly every verb opens first. Imports wait until then, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anvil_ctl.docker import Docker
    from anvil_ctl.errors import AnvilError
    from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class Answering:
    """A Docker engine that answers, with what `docker info` says; or why there is none."""

    docker: Docker | None
    info: Mapping[str, object] | None
    problem: AnvilError | None = None


def installation() -> tuple[Site, Docker]:
    """The installation in `$ANVIL_HOME`, and the engine that it runs on."""
    from anvil_ctl import site
    from anvil_ctl.docker import Docker
    from anvil_ctl.paths import Home

    return site.load(Home.from_environ()), Docker()


def answering() -> Answering:
    """The engine, for verbs that can do without one."""
    from anvil_ctl.docker import Docker
    from anvil_ctl.errors import AnvilError

    try:
        docker = Docker()
        return Answering(docker, docker.info())
    except AnvilError as error:
        return Answering(None, None, error)
