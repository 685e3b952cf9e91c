"""Proof that the router serves a mode: each preset is asked for one token, through the router."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from anvil_ctl.lifecycle.admin import Admin, AdminError, Status
from anvil_ctl.lifecycle.watch import Canary

# One token costs little, and engines take several requests at once.
_AT_ONCE = 4


def prove(router: Admin, multiplexer: Status | None, timeout_s: float) -> list[Canary]:
    """Ask for one token by each preset that what is loaded can answer. AdminError if one fails.

    A preset that nobody may answer is not asked, nor one whose model is not loaded: to load each of
    them would take as long as the mode itself, and would leave another one loaded than before.
    Clouds are never asked: they cost money. A preset that lists one is proved by its other tiers.
    """
    said = router.status()
    presets = said.get("presets") if said else None
    if said is None or not isinstance(presets, dict):
        raise AdminError("the router does not answer", hint="anvil-ctl logs router")
    absent = _swapped(said) - _resident(multiplexer)

    def one(preset: str) -> Canary:
        first = router.route(preset, paid=False)
        if first is None:
            return Canary(preset, _instead(router.route(preset, paid=True)), 0.0, asked=False)
        if first in absent:
            return Canary(preset, f"{first} is loaded on demand", 0.0, asked=False)
        began = time.monotonic()
        headers = router.prove(preset, timeout_s)
        if headers.get("x-anvil-fell-back") == "true":
            tried = headers.get("x-anvil-tiers-tried", "")
            raise AdminError(
                f"preset {preset}: {first} failed; of {tried} the last one answered",
                hint=f"anvil-ctl logs {first}",
            )
        return Canary(preset, first, round(time.monotonic() - began, 3))

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(one, presets))


def _instead(cloud: str | None) -> str:
    """Why a preset that no tier here may answer is not asked."""
    if cloud is not None:
        return f"{cloud} answers it, which costs money"
    # Nobody is trusted with it, or its cloud has no key: so the operator wants it.
    return "nobody may answer it here"


def _swapped(router: Status) -> set[str]:
    """The tiers that the multiplexer loads."""
    tiers = router.get("tiers")
    rows = tiers if isinstance(tiers, list) else []
    return {str(each["id"]) for each in rows if each.get("swap_group")}


def _resident(multiplexer: Status | None) -> set[str]:
    """Those of them that are loaded, by the multiplexer's status."""
    roles = multiplexer.get("roles") if multiplexer else None
    models = multiplexer.get("models") if multiplexer else None
    if not isinstance(roles, dict) or not isinstance(models, list):
        return set()
    loaded = {str(each.get("resident")) for each in roles.values()}
    return {str(each["tier"]) for each in models if str(each["name"]) in loaded}
