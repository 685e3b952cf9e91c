"""Which Compose project a service belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anvil_ctl.compose import Project
from anvil_ctl.config import Mode
from anvil_ctl.docker import Docker
from anvil_ctl.errors import UsageError
from anvil_ctl.lifecycle.observe import CONTROL
from anvil_ctl.paths import bundle
from anvil_ctl.service import LABEL
from anvil_ctl.site import Site


def control_project(site: Site, docker: Docker) -> Project:
    """The project of router, multiplexer and guard."""
    return docker.project(
        site.project,
        bundle() / "compose" / "control.yaml",
        site.control_keys,
        env_files=(site.home.secrets, site.control_env),
        # A shell that was told how to reach the router has its token under such a name.
        hidden=site.config.cloud_keys,
    )


def mode_project(site: Site, docker: Docker, mode: Mode) -> Project:
    """The project of a mode's engines."""
    return docker.project(site.config.project_of(mode), site.compose_file(mode))


def projects_of(
    site: Site, docker: Docker, modes: Sequence[Mode], services: Sequence[str]
) -> Iterator[tuple[Project, list[str]]]:
    """The projects that hold `services`, each with those it holds; all of them for none named.

    UsageError for a service that neither the control project nor a live mode has.
    """
    known: dict[str, set[str]] = {site.project: set(CONTROL)}
    for mode in modes:
        tiers = site.config.modes[mode].enabled
        known[site.config.project_of(mode)] = {tier.id for tier in tiers}
    everything = set().union(*known.values())
    for service in services:
        if service not in everything:
            raise UsageError(
                f"no service {service!r} is live; services: {', '.join(sorted(everything))}"
            )
    if not services or set(services) & known[site.project]:
        wanted = [each for each in services if each in known[site.project]]
        yield control_project(site, docker), wanted
    for mode in modes:
        held = known[site.config.project_of(mode)]
        if not services or set(services) & held:
            yield mode_project(site, docker, mode), [each for each in services if each in held]


def control_up(site: Site, docker: Docker) -> None:
    """Start the control project and wait until it is healthy."""
    drop_detached(site, docker)
    control_project(site, docker).up_and_wait(timeout_s=90)


def drop_detached(site: Site, docker: Docker) -> bool:
    """Remove the control containers that have lost their networks; whether there were any.

    Compose would leave them: it looks at definitions, and theirs are as they were.
    """
    found = docker.containers(f"{LABEL}.project={site.project}")
    lost = [each.name for each in found if f"{LABEL}.control" in each.labels and not each.attached]
    for name in lost:
        docker.remove_container(name)
    return bool(lost)
