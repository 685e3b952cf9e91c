"""Tiers bound to their endpoints, credentials and slots: a configuration ready to be used."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable

from anvil_ctl.errors import ConfigError
from anvil_ctl.router import route
from anvil_ctl.router.config import Config, Counting, Multiplexer, Tier
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.upstream_body import Target
from anvil_ctl.serving.auth import token_from_env
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.connection import Deadlines
from anvil_ctl.upstream.endpoint import Endpoint, endpoint
from anvil_ctl.upstream.lease import Lease

log = logging.getLogger(__name__)

_COUNTING = {
    Counting.MESSAGES: ("/v1/messages/count_tokens",),
    Counting.TOKENIZE: ("/tokenize",),
    Counting.TEMPLATE: ("/apply-template", "/tokenize"),
}
_PATHS = {Dialect.OPENAI: "/v1/chat/completions", Dialect.ANTHROPIC: "/v1/messages"}


class BoundTier:
    """A tier that requests can be sent to."""

    __slots__ = (
        "_lease_from",
        "_lease_limits",
        "_pool",
        "_slots",
        "buffered",
        "counters",
        "endpoint",
        "in_flight",
        "passthrough",
        "streamed",
        "target",
        "tier",
    )

    def __init__(self, tier: Tier, pool: Pool, key: str | None, lease_from: Endpoint | None,
                 lease_s: float) -> None:  # fmt: skip
        self.tier = tier
        self.target = Target(
            tier.dialect,
            tier.model,
            tier.local,
            tier.max_output_tokens,
            tier.extra_body,
            tier.extra_body_defaults,
            tier.structured == "json_schema",
        )
        credentials = _credentials(tier, key)

        def at(path: str) -> Endpoint:
            return endpoint(tier.base_url, path, credentials)

        self.endpoint = at(_PATHS[tier.dialect])
        self.passthrough = {name: at(f"/v1/{name}") for name in tier.passthrough}
        counting = _COUNTING[tier.count_tokens] if tier.count_tokens else ()
        self.counters = tuple(at(path) for path in counting)
        self.streamed = Deadlines(tier.connect_s, tier.first_byte_s, tier.idle_s)
        # An unstreamed answer's first byte comes after its last token.
        self.buffered = Deadlines(tier.connect_s, tier.total_s, tier.idle_s)
        self.in_flight = 0
        self._pool = pool
        self._slots = asyncio.Semaphore(tier.max_concurrency) if tier.max_concurrency else None
        self._lease_from = lease_from if tier.swap_group is not None else None
        self._lease_limits = Deadlines(5.0, lease_s, lease_s)

    async def enter(self) -> Lease | None:
        """Wait for the right to use the tier: a slot, and a lease where the model is swap-managed.

        Raises UpstreamError if the lease is refused. What is returned belongs to `leave`.
        """
        if self._slots is not None:
            await self._slots.acquire()
        self.in_flight += 1
        if self._lease_from is None:
            return None
        try:
            lease = Lease(
                self._pool, self._lease_from, self.tier.model or self.tier.id, self._lease_limits
            )
            await lease.enter()
        except BaseException:
            self.leave(None)
            raise
        return lease

    def leave(self, lease: Lease | None) -> None:
        """Give back what `enter` gave, in every exit."""
        if lease is not None:
            lease.leave()
        self.in_flight -= 1
        if self._slots is not None:
            self._slots.release()


class Live:
    """One configuration in use. Requests keep the one that they began with."""

    def __init__(self, config: Config, pool: Pool) -> None:
        self.config = config
        self.choices = route.known(config)
        lease_from = _lease_endpoint(config.multiplexer)
        lease_s = config.multiplexer.timeout_s if config.multiplexer else 0.0
        self._bound: dict[str, BoundTier] = {}
        for tier in config.tiers:
            key = os.environ.get(tier.auth_env, "").strip() or None
            if key is None and not tier.local:
                log.warning("tier %s is skipped: %s is unset or empty", tier.id, tier.auth_env)
                continue
            self._bound[tier.id] = BoundTier(tier, pool, key, lease_from, lease_s)
        if not self._bound:
            names = ", ".join(sorted({tier.auth_env for tier in config.tiers}))
            raise ConfigError(
                "no tier can be used: each is a cloud tier without its credential",
                hint=f"export {names}",
            )

    @property
    def tiers(self) -> Iterable[BoundTier]:
        """Every tier that can be used."""
        return self._bound.values()

    def usable(self, tiers: Iterable[Tier]) -> list[BoundTier]:
        """Those of the tiers that can be used, in their order."""
        return [self._bound[tier.id] for tier in tiers if tier.id in self._bound]


def _credentials(tier: Tier, key: str | None) -> tuple[tuple[str, str], ...]:
    if tier.dialect is Dialect.ANTHROPIC:
        version = ("anthropic-version", "2023-06-01")
        return (version, ("x-api-key", key)) if key else (version,)
    return (("authorization", f"Bearer {key}"),) if key else ()


def _lease_endpoint(multiplexer: Multiplexer | None) -> Endpoint | None:
    if multiplexer is None:
        return None
    token = token_from_env(multiplexer.token_env)
    return endpoint(multiplexer.url, "/v1/lease", (("authorization", f"Bearer {token}"),))
