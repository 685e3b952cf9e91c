"""Tiers bound to their endpoints, credentials and slots: a configuration ready to be used."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

import msgspec

from anvil_ctl.errors import ConfigError
from anvil_ctl.router.config import Config, Counting, Multiplexer, Tier
from anvil_ctl.router.deadline import Deadline
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.upstream_body import Target
from anvil_ctl.router.experience import Experience
from anvil_ctl.router.judgement import intent as intents
from anvil_ctl.router.judgement.intent import Named
from anvil_ctl.router.judgement.policy import Circumstances
from anvil_ctl.router.probe import Probe
from anvil_ctl.router.profile.keeper import Keeper
from anvil_ctl.router.slots import Slots
from anvil_ctl.serving.auth import token_from_env
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import Endpoint, endpoint, fits_header
from anvil_ctl.upstream.lease import Lease
from anvil_ctl.upstream.response import Deadlines

log = logging.getLogger(__name__)

_COUNTING = {
    Counting.MESSAGES: ("/v1/messages/count_tokens",),
    Counting.TOKENIZE: ("/tokenize",),
    Counting.TEMPLATE: ("/apply-template", "/tokenize"),
}
# The longest answers where `total_timeout` says nothing, in seconds.
_STREAMED_S = 3600.0
_BUFFERED_S = 600.0
_PATHS = {Dialect.OPENAI: "/v1/chat/completions", Dialect.ANTHROPIC: "/v1/messages"}


class Leases(msgspec.Struct, frozen=True):
    """Where leases come from, and how long one may take."""

    endpoint: Endpoint
    limits: Deadlines


class BoundTier:
    """A tier that requests can be sent to."""

    __slots__ = (
        "_leases",
        "_pool",
        "buffered",
        "counters",
        "endpoint",
        "passthrough",
        "slots",
        "streamed",
        "target",
        "tier",
    )

    def __init__(self, tier: Tier, pool: Pool, key: str | None, slots: Slots,
                 leases: Leases | None, *, session_fields: bool) -> None:  # fmt: skip
        self.tier = tier
        self.target = Target(
            tier.dialect,
            tier.model,
            tier.local,
            tier.max_output_tokens,
            tier.extra_body,
            tier.extra_body_defaults,
            tier.structured == "json_schema",
            tier.max_tokens_field,
            session_fields,
        )
        credentials = _credentials(tier, key)

        def at(path: str) -> Endpoint:
            return endpoint(tier.base_url, path, credentials, repeatable=tier.local)

        self.endpoint = at(_PATHS[tier.dialect])
        self.passthrough = {name: at(f"/v1/{name}") for name in tier.passthrough}
        counting = _COUNTING[tier.count_tokens] if tier.count_tokens else ()
        self.counters = tuple(at(path) for path in counting)
        whole_s = tier.total_s or max(_STREAMED_S, tier.first_byte_s)
        self.streamed = Deadlines(tier.connect_s, tier.first_byte_s, tier.idle_s, whole_s)
        # An unstreamed answer's first byte comes after its last token.
        whole_s = tier.total_s or max(_BUFFERED_S, tier.first_byte_s)
        self.buffered = Deadlines(tier.connect_s, whole_s, tier.idle_s, whole_s)
        self.slots = slots
        self._pool = pool
        self._leases = leases if tier.swap_group is not None else None

    def entered(self) -> bool:
        """Take the right to use a tier that everybody may; False says to `enter`."""
        return self._leases is None and self.slots.entered()

    async def enter(self, until: Deadline) -> Lease | None:
        """Wait for the right to use the tier: a slot, and a lease where the model is swap-managed.

        Raises UpstreamError if the tier is busy or the lease refused. What is returned belongs to
        `leave`.
        """
        await self.slots.enter(until.left_s)
        if self._leases is None:
            return None
        try:
            model = self.tier.model or self.tier.id
            limits = until.within(self._leases.limits)
            lease = Lease(self._pool, self._leases.endpoint, model, limits)
            await lease.enter()
        except BaseException:
            self.leave(None)
            raise
        return lease

    def leave(self, lease: Lease | None) -> None:
        """Give back what `enter` gave, in every exit."""
        if lease is not None:
            lease.leave()
        self.slots.leave()


class Live:
    """One configuration in use. Requests keep the one that they began with.

    What is under way on the tiers of the one `before` it counts against their limits.
    """

    def __init__(
        self, config: Config, pool: Pool, keeper: Keeper, before: Live | None = None
    ) -> None:
        self.config = config
        self.names = intents.every_name(config)
        self.keeper = keeper
        self.profile = keeper.profile
        self.experience = Experience(config)
        self.probe = Probe(config, self.experience, keeper)
        leases = _leases(config.multiplexer)
        self._bound: dict[str, BoundTier] = {}
        for tier in config.tiers:
            key = os.environ.get(tier.auth_env, "").strip() or None
            if not tier.local and (key is None or not fits_header(key)):
                wrong = "is unset or empty" if key is None else "cannot be put in a header"
                log.warning("tier %s is skipped: %s %s", tier.id, tier.auth_env, wrong)
                continue
            slots = before.slots(tier) if before is not None else _slots(tier)
            self._bound[tier.id] = BoundTier(
                tier, pool, key, slots, leases, session_fields=config.session_fields
            )
        self._unbound = frozenset(t.id for t in config.tiers if t.id not in self._bound)
        self._alone = Circumstances(self._unbound)
        if not self._bound:
            names = ", ".join(sorted({tier.auth_env for tier in config.tiers}))
            raise ConfigError(
                "no tier can be used: each is a cloud tier without a usable credential",
                hint=f"export {names}",
            )

    @property
    def tiers(self) -> Iterable[BoundTier]:
        """Every tier that can be used."""
        return self._bound.values()

    def slots(self, tier: Tier) -> Slots:
        """The slots of the same upstream with the same limits, or new ones."""
        bound = self._bound.get(tier.id)
        if bound is None:
            return _slots(tier)
        ours = bound.tier
        same = ours.base_url == tier.base_url and ours.max_concurrency == tier.max_concurrency
        return bound.slots if same and ours.max_queue == tier.max_queue else _slots(tier)

    def named(self, model: str) -> Named:
        """What a name means here."""
        return self.names.get(model) or intents.named(self.config, model)

    def now(self, session: int | None = None, *, alone: bool = False) -> Circumstances:
        """What is so at this moment, for a decision; `alone`: with nobody to prefer to anybody."""
        self.probe.look()
        return self._alone if alone else self.experience.now(self._unbound, session)

    def bound(self, tier: Tier) -> BoundTier:
        """A candidate's tier, ready to be asked: a decision leaves out those that can't be."""
        return self._bound[tier.id]


def _slots(tier: Tier) -> Slots:
    wait_s = tier.total_s or max(_BUFFERED_S, tier.first_byte_s)
    return Slots(tier.max_concurrency, tier.max_queue, wait_s)


def _credentials(tier: Tier, key: str | None) -> tuple[tuple[str, str], ...]:
    if key is not None and not fits_header(key):
        raise ConfigError(
            f"tier {tier.id}: the credential in {tier.auth_env} cannot be put in a header",
            hint=f"export {tier.auth_env} again: printable ASCII, on one line",
        )
    if tier.dialect is Dialect.ANTHROPIC:
        version = ("anthropic-version", "2023-06-01")
        return (version, ("x-api-key", key)) if key else (version,)
    return (("authorization", f"Bearer {key}"),) if key else ()


def _leases(multiplexer: Multiplexer | None) -> Leases | None:
    if multiplexer is None:
        return None
    token = token_from_env(multiplexer.token_env)
    bearer = ("authorization", f"Bearer {token}")
    wait_s = multiplexer.timeout_s
    return Leases(endpoint(multiplexer.url, "/v1/lease", (bearer,)), Deadlines(5.0, wait_s, wait_s))
