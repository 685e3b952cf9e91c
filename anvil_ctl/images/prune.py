"""Remove images of ours that an edit has left behind. Never done unasked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from anvil_ctl.images.image import Image

PREFIX = "anvil/"


class ImageStore(Protocol):
    """The part of Docker that knows what images there are and which ones are in use."""

    def image_tags(self) -> Iterable[str]: ...
    def images_in_use(self) -> Collection[str]: ...
    def remove_image(self, tag: str) -> None: ...


def superseded(tags: Iterable[str], current: Collection[str], in_use: Collection[str]) -> list[str]:
    """Tags of ours that neither the present sources give nor any container uses."""
    return sorted(
        tag for tag in tags if tag.startswith(PREFIX) and tag not in current and tag not in in_use
    )


def unneeded(docker: ImageStore, images: Iterable[Image]) -> list[str]:
    """The tags of ours that none of these images has and no container uses."""
    return superseded(docker.image_tags(), {each.tag for each in images}, docker.images_in_use())


def prune(docker: ImageStore, images: Iterable[Image]) -> list[str]:
    """Remove what `unneeded` names and return it."""
    gone = unneeded(docker, images)
    for tag in gone:
        docker.remove_image(tag)
    return gone
