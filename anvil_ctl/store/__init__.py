"""Weights in the model volume: fetched, verified in place, listed."""

from anvil_ctl.store.starter import LABELS, Starter, pull_starter, read_starter
from anvil_ctl.store.volume import TOOLBOX, Volume, VolumeEngine

__all__ = [
    "LABELS",
    "TOOLBOX",
    "Starter",
    "Volume",
    "VolumeEngine",
    "pull_starter",
    "read_starter",
]
