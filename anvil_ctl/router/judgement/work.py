"""The classes of work that a request may be, and what is known of each before measuring."""

from __future__ import annotations

from enum import StrEnum


class Work(StrEnum):
    """A class of work: what the quality of tiers is known by."""

    CHAT = "chat"
    CHAT_FAST = "chat-fast"
    EDIT = "bounded-edit"
    REFACTOR = "multi-file-refactor"
    PLANNING = "planning"
    REVIEW = "review"
    LONG = "long-context"


# The presets that callers know, and the class that each stands for.
PRESETS = {
    "planning": Work.PLANNING,
    "quick-edit": Work.EDIT,
    "review": Work.REVIEW,
    "chat": Work.CHAT,
    "chat-fast": Work.CHAT_FAST,
    "long-context": Work.LONG,
}
# The preset whose tiers a class of work goes to.
PRESET_OF = {work: preset for preset, work in PRESETS.items()} | {Work.REFACTOR: "review"}
# A weak answer here costs more than none: who was never measured is not trusted with it.
HIGH_RISK = frozenset({Work.PLANNING, Work.REFACTOR})
# Waiting for a model to be loaded would defeat the purpose.
LATENCY_SENSITIVE = frozenset({Work.CHAT_FAST})


# For each request: an Enum that is called with a word it hasn't raises, which takes 3 us.
_BY_NAME = {str(work): work for work in Work}


def of_preset(preset: str) -> Work | None:
    """The class that a preset of the configuration stands for."""
    return PRESETS.get(preset.strip().lower())


def known(name: object) -> Work | None:
    """The class of that name."""
    return _BY_NAME.get(name) if isinstance(name, str) else None
