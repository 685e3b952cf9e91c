"""The volume of the weights: Compose expects it to be there, and does not create it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from anvil_ctl.store import LABELS, VolumeEngine


class VolumeState(StrEnum):
    """What became of the volume."""

    THERE = "there"
    CREATED = "created"
    LEFT_OUT = "left out"


def see_to_volume(docker: VolumeEngine, name: str, agree: Callable[[], bool]) -> VolumeState:
    """Create the volume if there is none and the user agrees; asked only where there is none."""
    if docker.volume_exists(name):
        return VolumeState.THERE
    if not agree():
        return VolumeState.LEFT_OUT
    docker.create_volume(name, LABELS)
    return VolumeState.CREATED
