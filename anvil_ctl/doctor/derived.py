"""What follows from a definition for one mode, worked out once for all checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anvil_ctl.capacity import Ledger
from anvil_ctl.config import Mode, Tier
from anvil_ctl.errors import AnvilError, ConfigError
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.rules import Verdict
from anvil_ctl.service import Service
from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class Derived:
    """Services by tier, and what rules and ledger say of them.

    `wrong` is why there are no services; `files` are None there, and where something denies.
    """

    tiers: tuple[Tier, ...] = ()
    services: Mapping[str, Service] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    ledger: Ledger | None = None
    files: ModeFiles | None = None
    wrong: AnvilError | None = None

    @property
    def denied(self) -> bool:
        """Whether a rule or the ledger refuses what could otherwise be rendered."""
        return self.files is None and self.wrong is None


NOTHING_DERIVED = Derived()


def derive(site: Site, mode: Mode) -> Derived:
    """Render one mode as far as it goes."""
    definition = site.config.modes.get(mode)
    if definition is None:
        known = ", ".join(site.config.modes)
        wrong = ConfigError(f"anvil.toml has no [modes.{mode}]; it has: {known}")
        return Derived(wrong=wrong)
    tiers = tuple(definition.enabled)
    try:
        services = {tier.id: site.renderer.service(mode, tier) for tier in tiers}
        verdicts = tuple(site.renderer.verdicts(mode))
        ledger = site.renderer.ledger(mode)
    except AnvilError as error:
        return Derived(tiers, wrong=error)
    denied = ledger.problems or any(each.kind == "deny" for each in verdicts)
    files = None if denied else site.renderer.mode(mode)
    return Derived(tiers, services, verdicts, ledger, files)
