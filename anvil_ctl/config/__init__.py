"""anvil.toml: the schema, the loader and the rules for which mode is meant."""

from anvil_ctl.config.load import load, parse
from anvil_ctl.config.model import MODES, Config, Mode, ModeDefinition
from anvil_ctl.config.tier import Tier

__all__ = ["MODES", "Config", "Mode", "ModeDefinition", "Tier", "load", "parse"]
