"""`anvil-ctl init`: from what this machine has to a definition of it, and the tokens beside it."""

from anvil_ctl.init.choices import Asked, Choices, Gpu, parse_gpus, parse_platform
from anvil_ctl.init.definition import Texts, Written, render_site, write_definition
from anvil_ctl.init.propose import Proposal, choose_site, propose
from anvil_ctl.init.sites import SiteTemplate, read_sites
from anvil_ctl.init.tokens import TOKENS, write_tokens
from anvil_ctl.init.volume import VolumeState, see_to_volume

__all__ = [
    "TOKENS",
    "Asked",
    "Choices",
    "Gpu",
    "Proposal",
    "SiteTemplate",
    "Texts",
    "VolumeState",
    "Written",
    "choose_site",
    "parse_gpus",
    "parse_platform",
    "propose",
    "read_sites",
    "render_site",
    "see_to_volume",
    "write_definition",
    "write_tokens",
]
