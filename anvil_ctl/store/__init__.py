"""Weights in the model volume: fetched, verified in place, listed."""

from anvil_ctl.store.starter import Starter, read_starter
from anvil_ctl.store.volume import LABELS, TOOLBOX, VolumeEngine

__all__ = ["LABELS", "TOOLBOX", "Starter", "VolumeEngine", "read_starter"]
