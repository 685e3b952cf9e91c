"""The tally as Prometheus reads it. Imported by the first scrape: the library is not free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from anvil_ctl.router.tally import Histogram, Tally


class _Now(Collector):
    """One scrape."""

    def __init__(self, tally: Tally, mode: str, gauges: Iterable[Gauge]) -> None:
        self._tally = tally
        self._mode = mode
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        tally = self._tally
        requests = CounterMetricFamily(
            "anvil_requests",
            "Requests that were routed, by how they ended.",
            labels=("dialect", "source", "intent", "work_class", "outcome", "mode"),
        )
        for labels, count in tally.requests.items():
            requests.add_metric((*labels, self._mode), count)
        yield requests
        yield _counter(
            "anvil_attempts", "Attempts at a tier.", ("tier", "outcome"), tally.attempts.items()
        )
        yield _counter(
            "anvil_tokens",
            "Tokens that engines counted.",
            ("tier", "direction"),
            tally.tokens.items(),
        )
        yield _counter(
            "anvil_unsound",
            "Answers that failed a check, before they were sent or after.",
            ("tier", "work_class", "check"),
            tally.unsound.items(),
        )
        yield _histogram(
            "anvil_first_byte_seconds",
            "From request to first content.",
            tally.durations("first_byte"),
        )
        yield _histogram(
            "anvil_request_seconds", "From request to its end.", tally.durations("whole")
        )
        yield _histogram(
            "anvil_verify_seconds",
            "Looking at answers before they are sent.",
            tally.durations("verify"),
        )
        costs = CounterMetricFamily("anvil_cost_usd", "What answers cost.", labels=("tier",))
        for tier, cost in tally.cost_usd.items():
            costs.add_metric((tier,), cost)
        yield costs
        yield CounterMetricFamily(
            "anvil_admission_rejected",
            "Requests refused because too many were under way.",
            value=tally.turned_away,
        )
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.about, labels=gauge.labels)
            for values, number in gauge.numbers.items():
                family.add_metric(values, number)
            yield family


class Gauge(msgspec.Struct, frozen=True):
    """What is so at the moment: a number for each set of the labels' values."""

    name: str
    about: str
    labels: tuple[str, ...]
    numbers: Mapping[tuple[str, ...], float]


def text(tally: Tally, mode: str, gauges: Iterable[Gauge]) -> bytes:
    """The whole exposition."""
    return generate_latest(_Now(tally, mode, gauges))


def _counter(
    name: str, about: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]
) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _histogram(name: str, about: str, found: Mapping[tuple[str, str], Histogram]) -> Metric:
    family = HistogramMetricFamily(name, about, labels=("tier", "path"))
    for labels, histogram in found.items():
        family.add_metric(labels, buckets=histogram.buckets(), sum_value=histogram.total)
    return family
