"""Counts and durations of requests, in the labels that the configuration has words for.

A request costs one look-up and a few additions here; what Prometheus reads is put together when it
asks. Every label's value comes from the configuration or from a short list, so that no caller can
add one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal, cast

BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

# What the check of an answer that is out already may come to, besides the check that it fails.
PASSED, TOO_LARGE = "passed", "too_large"
NO_FINDING = frozenset({PASSED, TOO_LARGE})

# dialect, source, intent, class of work, outcome
RequestLabels = tuple[str, str, str, str, str]
# The same with tier and handling before the outcome; None where there is none.
_Key = tuple[str | None, str | None, str | None, str | None, str | None, str | None, str]


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

    def merge(self, other: Histogram) -> None:
        """Take in all of another."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, how many up to it), as Prometheus has them."""
        running = 0
        told: list[tuple[str, float]] = []
        for bound, count in zip((*BOUNDS_S, float("inf")), self.counts, strict=True):
            running += count
            told.append(("+Inf" if bound == float("inf") else str(float(bound)), running))
        return told


class _Series:
    """The requests that have all labels in common."""

    __slots__ = ("cost_usd", "first_byte", "input", "output", "requests", "verify", "whole")

    def __init__(self) -> None:
        self.requests = self.input = self.output = 0
        self.cost_usd = 0.0
        self.first_byte, self.whole, self.verify = Histogram(), Histogram(), Histogram()


class Tally:
    """One process's counts since it started."""

    def __init__(self) -> None:
        self._series: dict[_Key, _Series] = {}
        # tier, reason
        self._failed: defaultdict[tuple[str, str], int] = defaultdict(int)
        # tier, class of work, check
        self._unsound: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        # What answers took that nobody got, by tier: tokens in and out, and dollars.
        self._wasted: defaultdict[str, tuple[int, int, float]] = defaultdict(lambda: (0, 0, 0.0))
        self.turned_away = 0

    def add(self, fields: Mapping[str, object], seconds: float) -> None:
        """Count a finished request, by what was noted of it; its `outcome` is among that."""
        told = cast("Mapping[str, str]", fields).get
        key = (
            told("dialect"), told("source"), told("preset"), told("work_class"), told("tier"),
            told("handling"), told("outcome", ""),
        )  # fmt: skip
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        series.requests += 1
        series.whole.add(seconds)
        first, checked = fields.get("first_byte_ms"), fields.get("verify_ms")
        if isinstance(first, float):
            series.first_byte.add(first / 1000)
        if isinstance(checked, float):
            series.verify.add(checked / 1000)
        if fields.get("usage_source") != "estimated":
            series.input += cast("int | None", fields.get("input_tokens")) or 0
            series.output += cast("int | None", fields.get("output_tokens")) or 0
        cost = cast("float | None", fields.get("cost_usd"))
        if cost is not None:
            series.cost_usd += cost
        rejected = fields.get("rejected")
        if isinstance(rejected, list):
            self._reject(rejected, told("work_class") or "")
            series.cost_usd -= sum(each["cost_usd"] for each in rejected)
        found = told("post_check")
        if found is not None and found not in NO_FINDING:
            self._unsound[told("tier", ""), told("work_class") or "", found] += 1
        failed = fields.get("failed")
        if isinstance(failed, list):
            for tier, reason in failed:
                self._failed[tier, _bounded(reason)] += 1

    def _reject(self, rejected: list[dict[str, Any]], work: str) -> None:
        """Answers that failed a check: they were made, and cost what answers cost."""
        for each in rejected:
            tier = each["tier"]
            self._unsound[tier, work, each["check"]] += 1
            given, made, cost = self._wasted[tier]
            self._wasted[tier] = (
                given + each["input_tokens"],
                made + each["output_tokens"],
                cost + each["cost_usd"],
            )

    # what Prometheus reads

    @property
    def unsound(self) -> Mapping[tuple[str, str, str], int]:
        """How many answers failed a check, by tier, class of work and check."""
        return self._unsound

    @property
    def requests(self) -> Mapping[RequestLabels, int]:
        """How many requests, by how they were understood and ended."""
        found: defaultdict[RequestLabels, int] = defaultdict(int)
        for (dialect, source, intent, work, _tier, _how, outcome), series in self._series.items():
            labels = (dialect or "", source or "", intent or "", work or "", outcome)
            found[labels] += series.requests
        return found

    @property
    def attempts(self) -> Mapping[tuple[str, str], int]:
        """How many attempts, by tier and outcome."""
        found = defaultdict(int, self._failed)
        for (*_labels, tier, _how, outcome), series in self._series.items():
            if tier is not None:
                found[tier, outcome] += series.requests
        return found

    @property
    def tokens(self) -> Mapping[tuple[str, str], int]:
        """How many tokens, by tier and direction."""
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        for tier, series in self._of_tiers():
            found[tier, "input"] += series.input
            found[tier, "output"] += series.output
        for tier, (given, made, _cost) in self._wasted.items():
            found[tier, "input"] += given
            found[tier, "output"] += made
        return {labels: count for labels, count in found.items() if count}

    @property
    def cost_usd(self) -> Mapping[str, float]:
        """What answers cost, by tier; without those that are free."""
        found: defaultdict[str, float] = defaultdict(float)
        for tier, series in self._of_tiers():
            found[tier] += series.cost_usd
        for tier, (_given, _made, cost) in self._wasted.items():
            found[tier] += cost
        return {tier: cost for tier, cost in found.items() if cost}

    def durations(
        self, kind: Literal["first_byte", "whole", "verify"]
    ) -> Mapping[tuple[str, str], Histogram]:
        """One kind, by tier and path: `raw`, or `commit` for what was kept back and checked first;
        without those that have none."""
        found: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        for (*_labels, tier, how, _outcome), series in self._series.items():
            if tier is not None:
                path = "raw" if how == "raw" else "commit"
                found[tier, path].merge(getattr(series, kind))
        return {labels: each for labels, each in found.items() if any(each.counts)}

    def _of_tiers(self) -> list[tuple[str, _Series]]:
        return [(key[4], each) for key, each in self._series.items() if key[4] is not None]


def outcome(fields: Mapping[str, object], status: int) -> str:
    """How a request ended, in one word."""
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
