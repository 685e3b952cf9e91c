"""From a request to a decision: read, understand, filter, order. Pure."""

from __future__ import annotations

import msgspec

from anvil_ctl.router.config import Config
from anvil_ctl.router.judgement import intent as intents
from anvil_ctl.router.judgement.intent import NO_HINTS, Hints, Intent, Named, Source
from anvil_ctl.router.judgement.policy import Circumstances, Decision, Needs, Trust, route
from anvil_ctl.router.judgement.reading import Reading, read

_NOTHING = read({})


class Judged(msgspec.Struct, frozen=True):
    """A request understood: what is wanted, who may answer, and what the text says."""

    intent: Intent
    decision: Decision
    reading: Reading


def judge(
    config: Config,
    name: Named,
    reading: Reading,
    trust: Trust,
    now: Circumstances,
    *,
    hints: Hints = NO_HINTS,
    at_least: int = 0,
) -> Judged:
    """Decide on a request as it was read; `at_least` is a size that the caller knows of."""
    intent = intents.resolve(config, name, reading, hints)
    needs = Needs(
        context=max(reading.total.lower, at_least),
        tools=reading.needs_tools,
        vision=reading.needs_vision,
        schema=reading.needs_schema,
        no_cloud=hints.no_cloud,
    )
    return Judged(intent, route(config, intent, needs, trust, now), reading)


def judge_forwarded(config: Config, name: Named, trust: Trust, now: Circumstances) -> Judged:
    """Decide on a request that is no conversation: its name alone says what is wanted."""
    intent = Intent(name.source, name.preset, name.work, name.tiers)
    return Judged(intent, route(config, intent, Needs(), trust, now), _NOTHING)


def substitution(judged: Judged, tried: int) -> str | None:
    """In one word why the answer is not from the first tier that the caller named or expects."""
    if judged.decision.redirected:
        return "redirected"
    if judged.intent.source is Source.INFERRED:
        return "inferred"
    return "fell-back" if tried > 1 else None
