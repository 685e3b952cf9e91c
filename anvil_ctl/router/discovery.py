"""The list of models: what a client may name, in fields that both dialects' pickers read. Pure."""

from __future__ import annotations

import msgspec

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.judgement.intent import normalise

# A fixed date, so that the answer never changes by itself.
_CREATED = 1_767_225_600
_CREATED_AT = "2026-01-01T00:00:00Z"

PRESETS = {
    "planning": "Thinking work: designs, plans, long chains of decisions.",
    "quick-edit": "Small, bounded changes to code.",
    "review": "Reading code or text closely and judging it.",
    "chat": "Everyday conversation and questions.",
    "chat-fast": "Conversation where the first word matters most.",
    "long-context": "Requests with a lot of material in them.",
}


def entries(config: Config) -> list[dict[str, object]]:
    """One entry a preset; without presets, one a tier."""
    if not config.presets:
        return [_entry(tier.id, "A configured tier.", [tier]) for tier in config.tiers]
    return [
        _entry(
            name,
            PRESETS.get(normalise(name), f"The preset {name} of this router."),
            [config.tier(tier_id) for tier_id in pool],
        )
        for name, pool in config.presets.items()
    ]


def listing(config: Config) -> bytes:
    """The body of GET /v1/models."""
    data = entries(config)
    return msgspec.json.encode(
        {
            "object": "list",
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"],
            "last_id": data[-1]["id"],
            # Codex looks here, for entries that hold its instructions for a model. There are none,
            # and that is no error to it; without this key it asks three times and complains.
            "models": [],
        }
    )


def one(config: Config, model: str) -> bytes | None:
    """The body of GET /v1/models/{id}; None if no entry has that name."""
    wanted = normalise(model)
    for entry in entries(config):
        if normalise(entry["id"]) == wanted:
            return msgspec.json.encode(entry)
    return None


def _entry(name: str, description: str, pool: list[Tier]) -> dict[str, object]:
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "name": name,
        "display_name": name,
        "description": description,
        "owned_by": "anvil-serving",
        "created": _CREATED,
        "created_at": _CREATED_AT,
        "context_window": max(tier.context_limit for tier in pool),
    }
