"""Brings in what a site needs before it can run: its images and the starter model."""

from __future__ import annotations

from anvil_ctl import images, store
from anvil_ctl.docker import Docker
from anvil_ctl.events import Report
from anvil_ctl.paths import bundle
from anvil_ctl.site import Site


def bring_images(site: Site, docker: Docker, report: Report) -> list[str]:
    """See that every needed image is here, and return their tags."""
    registries, tags = images.Registries(), []
    for name, tag in sorted(site.needed_images().items()):
        image = site.catalog.get(name)
        if image is None:
            tags.append(images.fetch(docker, tag, report, registries))
            continue
        tags.append(
            images.obtain(
                docker,
                image,
                site.official_image(name),
                report,
                site.history,
                registries=registries,
            )
        )
    return tags


def bring_starter(site: Site, docker: Docker, report: Report, *, verify: bool = False) -> str:
    """See that the starter model is in the volume, and return its path there."""
    starter = store.read_starter(bundle())
    store.pull_starter(
        docker,
        site.config.machine.models_volume,
        site.home.cache,
        report,
        site.history,
        starter=starter,
        verify=verify,
    )
    return starter.path
