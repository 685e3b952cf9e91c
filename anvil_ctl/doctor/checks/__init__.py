"""Every check, by group, in the order in which one would mend what they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anvil_ctl.doctor.check import Check
from anvil_ctl.doctor.checks import (
    agreement,
    clouds,
    gpu,
    leaving,
    network,
    platform,
    runtime,
    storage,
)

GROUPS: Mapping[str, Sequence[Check]] = {
    "platform": platform.CHECKS,
    "gpu": gpu.CHECKS,
    "agreement": agreement.CHECKS,
    "network": (*network.CHECKS, *clouds.CHECKS),
    "storage": storage.CHECKS,
    "runtime": (*runtime.CHECKS, *leaving.CHECKS),
}
CHECKS: tuple[Check, ...] = tuple(check for group in GROUPS.values() for check in group)
