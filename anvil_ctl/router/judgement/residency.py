"""Which model is loaded in each swap group, as well as the router can know. Pure: times are given.

Either what the multiplexer said or what was served last: the later of the two, for a while.
"""

from __future__ import annotations

from collections.abc import Mapping

from anvil_ctl.router.config import Tier
from anvil_ctl.router.judgement.settings import Memory

_NOBODY: frozenset[str] = frozenset()


class Residency:
    """Keeps one entry a group and one a tier, so its size is the configuration's."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._served: dict[str, tuple[str, float]] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self._waiting: dict[str, float] = {}

    def served(self, tier: Tier, now: float) -> None:
        """A tier has answered; one without a group is always loaded and says nothing."""
        self._waiting.pop(tier.id, None)
        if tier.swap_group is not None:
            self._served[tier.swap_group] = (tier.id, now)

    def told(self, residents: Mapping[str, str], now: float) -> None:
        """The multiplexer says which tiers are loaded, by group."""
        self._told = {group: (tier, now) for group, tier in residents.items()}

    def residents(self, now: float) -> dict[str, str]:
        """The loaded tier of each group that is known."""
        if not (self._served or self._told):
            return {}
        found: dict[str, str] = {}
        for group in self._served.keys() | self._told.keys():
            known = [each[group] for each in (self._told, self._served) if group in each]
            tier, since = max(known, key=lambda each: each[1])
            if now - since < self._memory.ttl:
                found[group] = tier
        return found

    def put_off(self, tier: str, now: float) -> None:
        """A first choice was put behind others for being unloaded."""
        self._waiting.setdefault(tier, now)

    def due(self, now: float) -> frozenset[str]:
        """The tiers that were put off for so long that it's their turn."""
        if not self._waiting:
            return _NOBODY
        return frozenset(
            tier for tier, since in self._waiting.items() if now - since >= self._memory.max_defer
        )
