"""Which tiers may answer, and in which order: filters first, then order. Pure.

No ordering brings back what a filter has taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.judgement.intent import Intent, Source, pool_of
from anvil_ctl.router.judgement.settings import Ordering
from anvil_ctl.router.judgement.work import LATENCY_SENSITIVE, Work
from anvil_ctl.router.profile.row import UNMEASURED, Row, Verdict


class Trust(Protocol):
    """What is known of the quality of tiers."""

    def verdict(self, tier: str, work: Work | None, *, local: bool) -> Verdict:
        """What a tier may do with a class of work."""

    def row(self, tier: str, work: Work | None) -> Row | None:
        """What was measured, if anything."""


class Drop(StrEnum):
    """Why a tier was taken out, in the order in which the filters look."""

    CONTEXT = "context"
    TOOLS = "tools"
    VISION = "vision"
    STRUCTURED = "structured-output"
    NO_CLOUD = "no-cloud"
    METERED = "metered"
    DENIED = "denied"
    UNBOUND = "unbound"


class Needs(msgspec.Struct, frozen=True):
    """What a request can't be served without. `context` is the least number of its tokens."""

    context: int = 0
    tools: bool = False
    vision: bool = False
    schema: bool = False
    no_cloud: bool = False


class Circumstances(msgspec.Struct, frozen=True):
    """What is so at this moment.

    `unbound`: tiers that can't be asked at all. `residents`: the loaded tier of each swap group.
    `due`: tiers whose turn has come whatever is loaded. `shut`: tiers that have just failed.
    `former`: the tier that answered in this conversation before.
    """

    unbound: frozenset[str] = frozenset()
    residents: Mapping[str, str] = {}
    due: frozenset[str] = frozenset()
    shut: frozenset[str] = frozenset()
    former: str | None = None


class Candidate(msgspec.Struct, frozen=True):
    """A tier that may answer, and how far it is trusted with this."""

    tier: Tier
    verdict: Verdict


class Decision(msgspec.Struct, frozen=True):
    """The candidates, best first, and what explains them. `drops` is by tier id.

    `lacks`: of the tiers that the gates let in, what each lacks that the request needs.
    `residents`: what was loaded as far as was known, by swap group.
    """

    candidates: tuple[Candidate, ...]
    work: Work | None
    ambiguous: bool
    pool: tuple[str, ...]
    gate: str
    drops: dict[str, Drop] = {}
    lacks: frozenset[Drop] = frozenset()
    deferred: tuple[str, ...] = ()
    redirected: bool = False
    pin_denied: bool = False
    residents: Mapping[str, str] = {}

    @property
    def lacking(self) -> Drop | None:
        """The one thing for want of which nobody can answer, so that no retry would help."""
        return next(iter(self.lacks)) if not self.candidates and len(self.lacks) == 1 else None

    def status(self, exhaustion: int) -> int:
        """The HTTP status where there is no candidate, or none that serves."""
        return _STATUS.get(self.lacking, exhaustion) if self.lacking else exhaustion


_STATUS = {Drop.CONTEXT: 413, Drop.VISION: 400}
NOW = Circumstances()


def route(
    config: Config, intent: Intent, needs: Needs, trust: Trust, now: Circumstances = NOW
) -> Decision:
    """Decide. The filters, in their order:

    0. a pinned tier that the gate denies: nothing, or (`pin_denied = "redirect"`) its class's pool;
    1. each tier once;
    2. the request's needs: context, tools, pictures, a JSON schema;
    3. cloud tiers, which cost money, only for the classes that the operator listed;
    4. the quality gate: no tier that is denied this class;
    5. what can be asked at all.

    Then the order: the pool's or by score, the conversation's former tier, what is loaded, and
    last of all who has just failed.
    """
    pool, redirected, refused = intent.pool, False, False
    if intent.source is Source.PINNED:
        pool, redirected, refused = _pinned(config, intent, trust)  # 0
    tiers = {tier.id: tier for tier in pool}  # 1
    candidates: list[Candidate] = []
    drops: dict[str, Drop] = {}
    lacks: set[Drop] = set()
    for tier in tiers.values():
        verdict = trust.verdict(tier.id, intent.work, local=tier.local)
        lack = _lack(needs, tier)  # 2
        gate = _gate(config, intent.work, needs, tier, verdict)  # 3, 4
        unbound = Drop.UNBOUND if tier.id in now.unbound else None  # 5
        drop = lack or gate or unbound
        if drop is None:
            candidates.append(Candidate(tier, verdict))
            continue
        drops[tier.id] = drop
        if gate is None:
            lacks.add(drop)
    deferred: tuple[str, ...] = ()
    if len(candidates) > 1:
        deferred = _order(config, intent, candidates, trust, now)
    return Decision(
        candidates=tuple(candidates),
        work=intent.work,
        ambiguous=intent.ambiguous,
        pool=tuple(tiers),
        gate=_gate_note(intent, redirected=redirected, refused=refused),
        drops=drops,
        lacks=frozenset(lacks),
        deferred=deferred,
        redirected=redirected,
        pin_denied=refused,
        residents=now.residents,
    )


def _pinned(config: Config, intent: Intent, trust: Trust) -> tuple[tuple[Tier, ...], bool, bool]:
    """The tiers to filter, whether they stand for a denied pin, and whether that ends it."""
    verdicts = {trust.verdict(t.id, intent.work, local=t.local) for t in intent.pool}
    if verdicts != {Verdict.DENY}:
        return intent.pool, False, False
    if config.judgement.redirect_pins:
        return pool_of(config, intent.work), True, False
    return intent.pool, False, True


def _lack(needs: Needs, tier: Tier) -> Drop | None:
    """What the request needs and the tier hasn't."""
    if needs.context > tier.context_limit:
        return Drop.CONTEXT
    if needs.tools and not tier.tool_support:
        return Drop.TOOLS
    if needs.vision and not tier.vision:
        return Drop.VISION
    # A tier that says nothing of structured output isn't known to lack it.
    if needs.schema and tier.structured not in (None, "json_schema"):
        return Drop.STRUCTURED
    return None


def _gate(
    config: Config, work: Work | None, needs: Needs, tier: Tier, verdict: Verdict
) -> Drop | None:
    """The gate that is shut for the tier."""
    if not tier.local and needs.no_cloud:
        return Drop.NO_CLOUD
    if not tier.local and work not in config.metered_cloud:
        return Drop.METERED
    if work is not None and verdict is Verdict.DENY:
        return Drop.DENIED
    return None


# Order


def _order(
    config: Config,
    intent: Intent,
    candidates: list[Candidate],
    trust: Trust,
    now: Circumstances,
) -> tuple[str, ...]:
    """Put the candidates in order; those that were put off for not being loaded."""
    policy = config.judgement.policy
    if intent.ambiguous:
        candidates.sort(key=_safest(trust, intent.work))
    elif policy.ordering is not Ordering.COST:
        candidates.sort(key=_best(trust, intent.work))
    if policy.stickiness and now.former is not None:
        candidates.sort(key=lambda each: each.tier.id != now.former)
    deferred: tuple[str, ...] = ()
    if policy.residency and intent.work not in LATENCY_SENSITIVE:
        deferred = _defer(candidates, now)
    if now.shut:
        candidates.sort(key=lambda each: each.tier.id in now.shut)
    if policy.ordering is Ordering.SINGLE or not config.judgement.substitution:
        del candidates[1:]
    return deferred


def _safest(trust: Trust, work: Work | None) -> Callable[[Candidate], tuple[bool, bool, float]]:
    """The order for a request that doesn't say what it is: only measured scores count."""

    def key(each: Candidate) -> tuple[bool, bool, float]:
        row = trust.row(each.tier.id, work)
        score = row.score if row is not None and row.measured else UNMEASURED
        return each.tier.local, each.verdict is not Verdict.ALLOW, -score

    return key


def _best(trust: Trust, work: Work | None) -> Callable[[Candidate], tuple[bool, float]]:
    """By score; what was measured of another set-up comes after what holds now."""

    def key(each: Candidate) -> tuple[bool, float]:
        row = trust.row(each.tier.id, work)
        return (False, -UNMEASURED) if row is None else (row.stale, -row.score)

    return key


def _defer(candidates: list[Candidate], now: Circumstances) -> tuple[str, ...]:
    """Move tiers that would have to be loaded behind all others; those that were moved."""

    if not now.residents:
        return ()

    def waits(each: Candidate) -> bool:
        tier = each.tier
        resident = now.residents.get(tier.swap_group) if tier.swap_group else None
        return resident is not None and resident != tier.id and tier.id not in now.due

    moved = tuple(each.tier.id for each in candidates if waits(each))
    if moved:
        candidates.sort(key=waits)
    return moved


# Words


def _gate_note(intent: Intent, *, redirected: bool, refused: bool) -> str:
    if not refused and not redirected:
        return "on" if intent.work is not None else "off: the preset has no class of work"
    named = ", ".join(tier.id for tier in intent.pool)
    if refused:
        return f"on: {named} is denied {intent.work}, and a pinned tier has no substitute"
    return f"on: {named} is denied {intent.work}; the tiers of that class stand in"


def notes(decision: Decision) -> dict[str, object]:
    """The whole explanation, as data."""

    def dropped(*kinds: Drop) -> list[str]:
        return [tier for tier, drop in decision.drops.items() if drop in kinds]

    return {
        "work_class": decision.work,
        "pool": list(decision.pool),
        "quality_gate": decision.gate,
        "dropped_missing": dropped(Drop.UNBOUND),
        "dropped_by_constraint": dropped(
            Drop.CONTEXT, Drop.TOOLS, Drop.VISION, Drop.STRUCTURED, Drop.NO_CLOUD
        ),
        "dropped_by_context": dropped(Drop.CONTEXT),
        "dropped_by_metered_gate": dropped(Drop.METERED),
        "dropped_by_deny": dropped(Drop.DENIED),
        "residency": dict(decision.residents),
        "residency_deferred": list(decision.deferred),
        "latency_sensitive_bypass": decision.work in LATENCY_SENSITIVE,
        "ambiguous": decision.ambiguous,
        "empty": not decision.candidates,
    }


def reasons(decision: Decision) -> Iterator[str]:
    """The same in words, one a tier that was left out."""
    for tier, drop in decision.drops.items():
        yield f"{tier}: {_WORDS[drop]}"


_WORDS: Mapping[Drop, str] = {
    Drop.CONTEXT: "the request is longer than its window",
    Drop.TOOLS: "it has no tool support, and the request has tools",
    Drop.VISION: "it reads no pictures, and the request has one",
    Drop.STRUCTURED: "it can't be held to a JSON schema, and the request asks for one",
    Drop.METERED: "it costs money, and metered_cloud does not list this class",
    Drop.NO_CLOUD: "the caller asked for no cloud",
    Drop.DENIED: "the profile denies it this class",
    Drop.UNBOUND: "its credential is missing",
}
