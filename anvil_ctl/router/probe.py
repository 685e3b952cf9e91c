"""Looking at what serves, beside the requests: which models are loaded, and which engines serve.

A request never waits for this: it starts a look where the last one is too old, and goes on with
what is known.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Mapping

import msgspec

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.dialects.blocks import objects, string
from anvil_ctl.router.experience import Experience
from anvil_ctl.router.profile.keeper import Keeper

log = logging.getLogger(__name__)

# The multiplexer is asked at most this often, and is given this long.
_RESIDENTS_S = 2.0
_TIMEOUT_S = 2.0
_MAX_ANSWER = 1 << 20
# Never by way of a proxy: these are hosts of our own network.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Probe:
    """One configuration's looks. Without anything to look at, it does nothing."""

    def __init__(self, config: Config, experience: Experience, keeper: Keeper) -> None:
        self._config = config
        self._experience = experience
        self._keeper = keeper
        self._tiers = [tier for tier in config.tiers if tier.local]
        self._by_model = {t.model: t for t in config.tiers if t.model and t.swap_group}
        swaps = bool(self._by_model) and config.judgement.policy.residency
        self._multiplexer = config.multiplexer.url if config.multiplexer and swaps else None
        self._residents_at = self._engines_at = float("-inf")
        self._running: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """Start what is due. Costs two comparisons where nothing is."""
        now = time.monotonic()
        if self._multiplexer is not None and now - self._residents_at >= _RESIDENTS_S:
            self._residents_at = now
            self._start(self._residents(self._multiplexer))
        every = self._config.judgement.probe_s
        if every and now - self._engines_at >= every:
            self._engines_at = now
            for tier in self._tiers:
                self._start(self._engine(tier))

    async def settled(self) -> None:
        """Wait for the looks under way."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self, look: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(look)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _residents(self, url: str) -> None:
        said = await asyncio.to_thread(_get, f"{url.rstrip('/')}/healthz")
        roles = said.get("roles")
        if not isinstance(roles, dict):
            return
        loaded: dict[str, str] = {}
        for role, view in roles.items():
            model = view.get("resident") if isinstance(view, dict) else None
            tier = self._by_model.get(model) if isinstance(model, str) else None
            if tier is not None:
                loaded[role] = tier.id
        self._experience.residency.told(loaded, self._experience.clock())

    async def _engine(self, tier: Tier) -> None:
        """Compare the model that an engine names with what its rows are about."""
        base = tier.base_url.rstrip("/").removesuffix("/v1")
        key = os.environ.get(tier.auth_env, "").strip()
        said = await asyncio.to_thread(_get, f"{base}/v1/models", key)
        served = [string(model.get("id")) for model in objects(said.get("data"))]
        served = [name for name in served if name]
        if not served:
            return
        stale = self._keeper.seen(tier, tier.model if tier.model in served else served[0])
        if stale:
            log.warning("profile: tier %s serves another model than was measured", tier.id)


def _get(url: str, key: str = "") -> Mapping[str, object]:
    """A JSON object; an empty one where there is none to be had."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked when configured
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            said = msgspec.json.decode(answer.read(_MAX_ANSWER))
    except (OSError, ValueError, urllib.error.URLError):
        return {}
    return said if isinstance(said, dict) else {}
