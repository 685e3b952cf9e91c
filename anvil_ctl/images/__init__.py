"""The images that anvil-ctl builds itself, each under a tag that names its content."""

from anvil_ctl.images.build import build, fetch, obtain
from anvil_ctl.images.engine import (
    Host,
    ImageEngine,
    LocalHost,
    Registries,
)
from anvil_ctl.images.image import BASE, Image, catalog
from anvil_ctl.images.prune import prune, unneeded

__all__ = [
    "BASE",
    "Host",
    "Image",
    "ImageEngine",
    "LocalHost",
    "Registries",
    "build",
    "catalog",
    "fetch",
    "obtain",
    "prune",
    "unneeded",
]
