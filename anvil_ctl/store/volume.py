"""The volume of the weights as Docker keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

# What looks into volumes with nothing but a shell.
TOOLBOX = "debian:trixie-slim"
LABELS = {"dev.anvil.volume": "models"}


class VolumeEngine(Protocol):
    """The part of Docker that keeps volumes."""

    def volume_exists(self, name: str) -> bool: ...
    def create_volume(self, name: str, labels: Mapping[str, str]) -> None: ...
