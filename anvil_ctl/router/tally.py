"""Counts and durations of requests, in the labels that the configuration has words for.

A request costs a few additions here; what Prometheus reads is put together when it asks. Every
label's value comes from the configuration or from a short list, so that no caller can add one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping

BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

_TOKENS = (("input", "input_tokens"), ("output", "output_tokens"))

# dialect, source, intent, class of work, outcome
RequestLabels = tuple[str, str, str, str, str]


class Histogram:
    """Durations in seconds: how many up to each bound, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Take in one."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, how many up to it), as Prometheus has them."""
        running = 0
        told: list[tuple[str, float]] = []
        for bound, count in zip((*BOUNDS_S, float("inf")), self.counts, strict=True):
            running += count
            told.append(("+Inf" if bound == float("inf") else str(float(bound)), running))
        return told


class Tally:
    """One process's counts since it started."""

    def __init__(self) -> None:
        self.requests: defaultdict[RequestLabels, int] = defaultdict(int)
        # tier, outcome
        self.attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        # tier, direction
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        # tier
        self.first_byte: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.whole: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.verify: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.cost_usd: defaultdict[str, float] = defaultdict(float)
        self.turned_away = 0

    def add(self, fields: Mapping[str, object], status: int, seconds: float) -> None:
        """Count a finished request, by what was noted of it."""
        told = fields.get
        tier, outcome = told("tier"), _outcome(fields, status)
        dialect, source, intent = told("dialect"), told("source"), told("preset")
        work = told("work_class")
        labels = (
            str(dialect or ""),
            str(source or ""),
            str(intent or ""),
            str(work or ""),
            outcome,
        )
        self.requests[labels] += 1
        failed = told("failed")
        if isinstance(failed, list):
            for name, reason in failed:
                self.attempts[name, _bounded(reason)] += 1
        if not isinstance(tier, str):
            return
        self.attempts[tier, outcome] += 1
        first = told("first_byte_ms")
        if isinstance(first, float):
            self.first_byte[tier].add(first / 1000)
        self.whole[tier].add(seconds)
        checked, cost = told("verify_ms"), told("cost_usd")
        if isinstance(checked, float):
            self.verify[tier].add(checked / 1000)
        if isinstance(cost, float):
            self.cost_usd[tier] += cost
        for direction, field in _TOKENS:
            tokens = told(field)
            if isinstance(tokens, int):
                self.tokens[tier, direction] += tokens


def _outcome(fields: Mapping[str, object], status: int) -> str:
    if "cancelled" in fields:
        return "client_left"
    if "cut" in fields:
        return "cut"
    if status == 200:
        return "served"
    return "client_fault" if 400 <= status < 500 else "unserved"


def _bounded(reason: str) -> str:
    """An upstream may answer with any status; a label may not have any value."""
    return f"status_{reason[7]}xx" if reason.startswith("status_") else reason
