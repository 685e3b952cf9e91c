"""How fast a tier has answered lately at its best, for callers who can't wait. Pure: times are
given, in seconds."""

from __future__ import annotations

from collections import deque

# So many answers are remembered, for so long; fewer say nothing of what a tier can do.
_MOST = 32
_FEWEST = 8
_FRESH_S = 300.0


class Pace:
    """The last answers of each tier: when they ended, and how long they took."""

    def __init__(self) -> None:
        self._answers: dict[str, deque[tuple[float, float]]] = {}

    def served(self, tier: str, took: float, now: float) -> None:
        """A tier has answered, whole."""
        answers = self._answers.get(tier)
        if answers is None:
            answers = self._answers[tier] = deque(maxlen=_MOST)
        answers.append((now, took))

    def least(self, tier: str, now: float) -> float:
        """The shortest time of late; 0 where too little is known to say that it takes any."""
        took = [each for at, each in self._answers.get(tier, ()) if now - at < _FRESH_S]
        return min(took) if len(took) >= _FEWEST else 0.0
