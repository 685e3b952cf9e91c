"""What the tiers of a definition need in the volume, and which pull brings it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anvil_ctl.config.model import Config, Mode
from anvil_ctl.config.tier import Tier
from anvil_ctl.engines import Engine
from anvil_ctl.weights.choice import FORMATS
from anvil_ctl.weights.source import STARTER


@dataclass(frozen=True, slots=True)
class Need:
    """One model of the definition. `source` is what `pull` is given, "" where nobody knows.

    `weights` is the path in the volume, `formats` what its engines read, `users` are MODE/TIER.
    """

    weights: str
    source: str
    formats: tuple[str, ...]
    users: tuple[str, ...]
    revision: str | None = None

    @property
    def command(self) -> str:
        """What to type to have it. The revision and the place follow from the definition."""
        if not self.source:
            return f"anvil-ctl pull SOURCE --to {self.weights}"
        return f"anvil-ctl pull {self.source}"


def source_of(tier: Tier, starter: str) -> str:
    """What `pull` is given to have a tier's weights; "" where the definition does not say."""
    if tier.weights == starter:
        return STARTER
    if tier.revision is not None:
        return tier.model
    return tier.source or ""


def needs(
    config: Config, engines: Mapping[str, Engine], starter: str, mode: Mode | None = None
) -> tuple[Need, ...]:
    """The models of the tiers that run in a mode, or in any, each once."""
    found: dict[str, Need] = {}
    for name, definition in config.modes.items():
        if mode in {None, name}:
            for tier in definition.enabled:
                user = f"{name}/{tier.id}"
                known = found.get(tier.weights)
                reads: tuple[str, ...] = tuple(engines[tier.engine].file.weights) or FORMATS
                if known is not None:
                    # What two engines share is in a format that both of them read.
                    reads = tuple(each for each in known.formats if each in reads) or reads
                users = (*(known.users if known else ()), user)
                source = source_of(tier, starter)
                found[tier.weights] = Need(tier.weights, source, reads, users, tier.revision)
    return tuple(found.values())


def of_tier(tier: Tier, starter: str) -> Need:
    """The need of one tier by itself."""
    return Need(tier.weights, source_of(tier, starter), (), (tier.id,), tier.revision)


def of_source(found: Iterable[Need], source: str) -> Need | None:
    """The first need that this source brings."""
    return next((each for each in found if each.source == source), None)
