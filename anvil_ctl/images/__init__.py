"""The images that anvil-ctl builds itself, each under a tag that names its content."""

from anvil_ctl.images.build import build, obtain
from anvil_ctl.images.engine import (
    OFFICIAL_PULL_S,
    Host,
    ImageEngine,
    LocalHost,
    Registries,
)
from anvil_ctl.images.image import BASE, Image, catalog
from anvil_ctl.images.prune import prune

__all__ = [
    "BASE",
    "OFFICIAL_PULL_S",
    "Host",
    "Image",
    "ImageEngine",
    "LocalHost",
    "Registries",
    "build",
    "catalog",
    "obtain",
    "prune",
]
