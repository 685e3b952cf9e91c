"""Models that failed: let alone for a while, so that whoever insists doesn't cost all the others.

Without it, one client that asks again and again for a broken model would each time end the
resident, wait for the failure, and have the resident restored.
"""

from __future__ import annotations

import math

from anvil_ctl.multiplexer.model import Refusal, unavailable
from anvil_ctl.multiplexer.role import Bounds, Broken, Role


def failed_again(role: Role, name: str, cause: str, bounds: Bounds, now: float) -> Broken:
    """What to remember of a failure that took since the role's last change of state."""
    before = role.broken.get(name)
    times = before.times + 1 if before is not None else 1
    took = max(now - role.since, bounds.backoff_least_s)
    pause = min(took * 2.0 ** min(times - 1, 16), bounds.backoff_most_s)
    return Broken(cause, now + pause, times)


def refusal_of(role: Role, name: str, now: float) -> Refusal | None:
    """Why a model is not tried now; None if it may be."""
    broken = role.broken.get(name)
    if broken is None or now >= broken.until:
        return None
    left = max(1, math.ceil(broken.until - now))
    said = f"{broken.cause}; {name} failed {broken.times} times and is tried again in {left} s"
    refused = unavailable(said)
    return Refusal(refused.status, refused.code, refused.message, left)
