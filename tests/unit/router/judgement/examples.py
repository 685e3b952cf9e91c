"""The two configurations of the router's worked examples."""

from __future__ import annotations

import msgspec

from anvil_ctl.router import config as configs
from anvil_ctl.router.config import Config
from tests.unit.router import doubles

URL = "http://127.0.0.1:9"
FAST = doubles.tier("fast-local", URL, context_limit=32_768, vision=False)
HEAVY = doubles.tier("heavy-local", URL, context_limit=131_072, vision=False)
CLOUD = doubles.tier("cloud", URL, context_limit=200_000, privacy="cloud")
GPU7 = doubles.tier("gpu7", URL, context_limit=131_072, vision=False)

LOCAL_PRESETS = """
chat = ["fast-local", "heavy-local"]
chat-fast = ["fast-local", "heavy-local"]
quick-edit = ["fast-local", "heavy-local"]
review = ["heavy-local"]
planning = ["heavy-local"]
long-context = ["heavy-local"]
"""
CLOUD_PRESETS = """
chat = ["fast-local", "cloud"]
chat-fast = ["fast-local", "cloud"]
quick-edit = ["fast-local", "heavy-local", "cloud"]
review = ["heavy-local", "cloud"]
planning = ["cloud"]
long-context = ["heavy-local", "cloud"]
yolo = ["fast-local", "cloud"]
"""


def parse(text: str) -> Config:
    return configs.parse(text.encode(), "router.toml")


def local() -> Config:
    """Config L: two local tiers."""
    return parse(doubles.config(FAST, HEAVY, presets=LOCAL_PRESETS, verify="cascade"))


def with_cloud(metered: str = '"planning"') -> Config:
    """Config C: a cloud tier besides, for the classes in `metered` alone."""
    keys = f"metered_cloud = [{metered}]\n"
    return parse(
        doubles.config(
            FAST, HEAVY, CLOUD, presets=CLOUD_PRESETS, router_keys=keys, verify="cascade"
        )
    )


def swapping(metered: str) -> Config:
    """Config C with both local tiers in one swap group."""
    found = with_cloud(metered)
    tiers = tuple(
        msgspec.structs.replace(tier, swap_group="gpu" if tier.local else None)
        for tier in found.tiers
    )
    policy = msgspec.structs.replace(found.judgement.policy, residency=True)
    return tuned(msgspec.structs.replace(found, tiers=tiers), policy=policy)


def gpu7() -> Config:
    """One tier that no seed knows."""
    return parse(
        doubles.config(GPU7, presets='review = ["gpu7"]\nplanning = ["gpu7"]', verify="cascade")
    )


def redirecting(config: Config) -> Config:
    return tuned(config, redirect_pins=True)


def tuned(config: Config, **more: object) -> Config:
    """The configuration with other settings of its judgement."""
    judgement = msgspec.structs.replace(config.judgement, **more)
    return msgspec.structs.replace(config, judgement=judgement)
