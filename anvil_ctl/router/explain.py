"""A decision in words, for callers who want to know what would be done. Pure."""

from __future__ import annotations

import msgspec

from anvil_ctl.router.config import Config
from anvil_ctl.router.dialects.call import JSON, BadRequestError
from anvil_ctl.router.judgement.intent import Named, Source, named, normalise, pool_of
from anvil_ctl.router.judgement.judge import Judged
from anvil_ctl.router.judgement.plan import handling
from anvil_ctl.router.judgement.policy import notes, reasons
from anvil_ctl.router.judgement.work import known

_SAID = {
    Source.PRESET: "the name is a preset",
    Source.PINNED: "the name is a tier's, or of a model that one serves",
    Source.INFERRED: "the name is not known here, so the text decides",
}


class Question(msgspec.Struct, frozen=True):
    """What to decide: for which name, of at least how many tokens, and whether to tell it all."""

    name: Named
    at_least: int
    whole: bool


def asked(config: Config, raw: JSON) -> Question:
    """The question of a body. Raises BadRequestError.

    A `signals.work_class` stands above `model`: that class is what the gate is asked about, and
    its preset gives the tiers.
    """
    model = raw.get("model")
    if not isinstance(model, str | None):
        raise BadRequestError("model: must be a string")
    signals = raw.get("signals")
    signals = signals if isinstance(signals, dict) else {}
    tokens = signals.get("token_estimate")
    at_least = tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else 0
    given = signals.get("work_class")
    name = _named(config, given if isinstance(given, str) and given else model)
    return Question(name, max(0, at_least), raw.get("explain") is True)


def _named(config: Config, name: str | None) -> Named:
    found = named(config, name)
    work = known(normalise(name))
    if work is None or found.source is not Source.INFERRED:
        return found
    return Named(Source.PRESET, None, work, pool_of(config, work))


def answer(config: Config, judged: Judged, decision_id: str, *, session: str, whole: bool) -> JSON:
    """The answer to POST /v1/route; there is a candidate."""
    decision, intent = judged.decision, judged.intent
    best = decision.candidates[0].tier
    told: JSON = {
        "tier": "local" if best.local else "cloud",
        "provider": best.id,
        "model": best.model or best.id,
        "intent": intent.preset or "",
        "work_class": decision.work or "",
        "source": intent.source.value,
        "reason": reason(judged),
        "confidence": intent.confidence,
        "candidates": [
            {
                "tier": each.tier.id,
                "model": each.tier.model or each.tier.id,
                "verdict": each.verdict.value,
                "handling": handling(config, decision, each).value,
            }
            for each in decision.candidates
        ],
        "session_id": session,
        "decision_id": decision_id,
        "mapping_version": config.mapping_version,
        "mode": config.mode,
    }
    if whole:
        told["notes"] = told_notes(judged)
    return told


def told_notes(judged: Judged) -> JSON:
    """All that explains a decision."""
    size = judged.reading.total
    return {
        **notes(judged.decision),
        "keywords": list(judged.intent.keywords),
        "tokens": {"at_least": size.lower, "expected": size.expected},
    }


def reason(judged: Judged) -> str:
    """Why these tiers, in one line."""
    gate = judged.decision.gate
    parts = [_SAID[judged.intent.source], f"quality gate {gate}"]
    if judged.intent.keywords:
        parts.append(f"keywords {', '.join(judged.intent.keywords)}")
    return "; ".join([*parts, *reasons(judged.decision)])
