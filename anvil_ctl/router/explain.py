"""A decision in words, for callers who want to know what would be done. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.dialects.call import JSON, model_of
from anvil_ctl.router.route import Choice, Source

_CONFIDENCE = {Source.PRESET: 1.0, Source.PINNED: 0.9, Source.INFERRED: 0.5}
_SAID = {
    Source.PRESET: "the name is a preset",
    Source.PINNED: "the name is a tier's, or of a model that one serves",
    Source.INFERRED: "the name is not known here",
}


def asked(raw: JSON) -> tuple[str, bool]:
    """The name to decide for, and whether all notes are wanted. Raises BadRequestError.

    A `signals.work_class` stands above `model`.
    """
    model = model_of(raw)
    signals = raw.get("signals")
    given = signals.get("work_class") if isinstance(signals, dict) else None
    name = given if isinstance(given, str) and given else model
    return name, raw.get("explain") is True


def answer(
    config: Config,
    choice: Choice,
    usable: Sequence[Tier],
    decision_id: str,
    *,
    session: str,
    whole: bool,
) -> JSON:
    """The answer to POST /v1/route; `usable` is not empty."""
    best = usable[0]
    unbound = [tier.id for tier in choice.candidates if tier not in usable]
    told: JSON = {
        "tier": "local" if best.local else "cloud",
        "provider": best.id,
        "model": best.model or best.id,
        "intent": choice.preset or "",
        "work_class": choice.work_class or "",
        "source": choice.source.value,
        "reason": _SAID[choice.source],
        "confidence": _CONFIDENCE[choice.source],
        "candidates": [{"tier": tier.id, "model": tier.model or tier.id} for tier in usable],
        "session_id": session,
        "decision_id": decision_id,
        "mapping_version": config.mapping_version,
        "mode": config.mode,
    }
    if whole:
        told["notes"] = {
            "pool": [tier.id for tier in choice.candidates],
            "unbound": unbound,
            "metered_cloud": sorted(config.metered_cloud),
        }
    return told
