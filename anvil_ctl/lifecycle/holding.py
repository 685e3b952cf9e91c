"""Holding and readmitting requests at router and multiplexer.

A hold is also written where the router looks when it starts: one that Docker starts again in the
middle of a switch holds from its first moment.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from anvil_ctl.history import write_atomically
from anvil_ctl.lifecycle.observe import multiplexer_admin, router_admin
from anvil_ctl.site import Site

# A hold outlives the longest load that a switch waits for, and no more: if this command is
# killed, the router goes on by itself.
HOLD_S = 3600.0


def hold(site: Site, reason: str, expected_s: float | None) -> None:
    """Let new requests wait at the router, and at the multiplexer where it answers."""
    said = {"reason": reason, "until": time.time() + HOLD_S, "expected_s": expected_s}
    write_atomically(_file(site), json.dumps(said) + "\n")
    router_admin(site).hold(reason, HOLD_S, expected_s)
    multiplexer = multiplexer_admin(site)
    if multiplexer.status() is not None:
        multiplexer.hold(reason, HOLD_S, expected_s)


def release(site: Site) -> None:
    """Let requests go on at the router."""
    _file(site).unlink(missing_ok=True)
    router_admin(site).release()


def readmit(site: Site) -> None:
    """Let requests go on wherever a control process answers."""
    _file(site).unlink(missing_ok=True)
    for admin in (multiplexer_admin(site), router_admin(site)):
        if admin.status() is not None:
            admin.release()


def forget(site: Site) -> None:
    """No process is left that could hold."""
    _file(site).unlink(missing_ok=True)


def _file(site: Site) -> Path:
    return site.control_folder / "control" / "hold.json"
