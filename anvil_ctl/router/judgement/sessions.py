"""Which tier answered in a conversation before: its prompt cache has the beginning already."""

from __future__ import annotations

from collections import OrderedDict

from anvil_ctl.router.dialects.call import JSON

# Where callers say which conversation, or whose, a request belongs to.
_NAMES = frozenset({"metadata", "prompt_cache_key", "user"})
# Two conversations whose beginnings have so many characters and their length in common are one.
_TOLD = 16 << 10


class Sessions:
    """The last tier of each conversation. Bounded; the longest unused is forgotten first."""

    def __init__(self, *, ttl: float = 600.0, most: int = 4096) -> None:
        self._ttl = ttl
        self._most = most
        self._tiers: OrderedDict[int, tuple[str, float]] = OrderedDict()

    def former(self, session: int, now: float) -> str | None:
        """The tier that answered last, unless that is too long ago."""
        found = self._tiers.get(session)
        return found[0] if found is not None and now - found[1] < self._ttl else None

    def served(self, session: int, tier: str, now: float) -> None:
        """A tier has answered."""
        self._tiers[session] = (tier, now)
        self._tiers.move_to_end(session)
        if len(self._tiers) > self._most:
            self._tiers.popitem(last=False)


def session_of(raw: JSON, beginning: tuple[str, ...], hint: str | None) -> int:
    """What tells this conversation from others: what the caller says, else its `beginning`.

    Python salts the hash of a string in each process, so it can't be looked up in a table of
    likely prompts.
    """
    if hint:
        return hash(hint)
    if not raw.keys().isdisjoint(_NAMES):
        metadata = raw.get("metadata")
        said = metadata.get("user_id") if isinstance(metadata, dict) else None
        for name in (said, raw.get("prompt_cache_key"), raw.get("user")):
            if isinstance(name, str) and name:
                return hash(name)
    return hash(tuple([(text[:_TOLD], len(text)) for text in beginning]))
