"""The host's side of the weights: what the store's container is asked for, and what it says."""

from anvil_ctl.store.starter import Starter, read_starter
from anvil_ctl.store.volume import LABELS, TOOLBOX, VolumeEngine

__all__ = ["LABELS", "TOOLBOX", "Starter", "VolumeEngine", "read_starter"]
