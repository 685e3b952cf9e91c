"""Brings in the images that a site needs before it can run."""

from __future__ import annotations

from collections.abc import Sequence

from anvil_ctl import images
from anvil_ctl.docker import Docker
from anvil_ctl.errors import AnvilError, UsageError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.site import Site


def bring_images(
    site: Site, docker: Docker, report: Report, names: Sequence[str] = ()
) -> list[str]:
    """See that every needed image is here, or those named, and return their tags.

    What cannot be had is reported with its reason, and AnvilError once all others are here.
    """
    registries, tags = images.Registries(), list[str]()
    failed: dict[str, AnvilError] = {}
    for name, tag in sorted(wanted(site, names).items()):
        try:
            tags.append(
                _bring(site, docker, report, registries=registries, name=name, reference=tag)
            )
        except AnvilError as error:
            report(Event(f"image {name}", error.message, State.FAILED))
            failed[name] = error
    if failed:
        hints = dict.fromkeys(each.hint for each in failed.values() if each.hint)
        raise AnvilError(f"not to be had: {', '.join(failed)}", hint="; ".join(hints))
    return tags


def wanted(site: Site, names: Sequence[str]) -> dict[str, str]:
    """The images of these names by their references; those that the definition needs for none."""
    if not names:
        return site.needed_images()
    known = site.all_images()
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} is not an image; images: {', '.join(sorted(known))}")
    return {name: known[name] for name in names}


def _bring(
    site: Site,
    docker: Docker,
    report: Report,
    *,
    registries: images.Registries,
    name: str,
    reference: str,
) -> str:
    image = site.catalog.get(name)
    if image is None or reference != image.tag:
        return images.fetch(docker, reference, report, registries)
    official = site.published().get(name)
    return images.obtain(docker, image, official, report, site.history, registries=registries)
