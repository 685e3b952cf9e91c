"""How the multiplexer stands, as Prometheus reads it. Imported by the first scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.registry import Collector

from anvil_ctl.multiplexer.role import Role, State
from anvil_ctl.multiplexer.scheduler import Scheduler

__all__ = ("CONTENT_TYPE", "text")

_COUNTERS = {
    "swaps": "Changes of a resident that were carried out.",
    "drain_waits": "Swaps that waited for running answers.",
    "severed": "Leases that were ended while they were in use.",
    "rollbacks": "Former residents that were restored.",
    "given_up": "Loads that were given up because nobody wanted the model any more.",
    "jumps": "Swaps in which somebody interactive went first.",
    "load_failures": "Loads that failed.",
    "restarts": "Residents that died and were started again.",
    "refusals": "Requests for a model that were turned away.",
    "oom_refusals": "Loads for which there was no room.",
}


class _Now(Collector):
    """One scrape."""

    def __init__(self, scheduler: Scheduler, now: float) -> None:
        self._scheduler = scheduler
        self._now = now

    def collect(self) -> Iterator[Metric]:
        scheduler = self._scheduler
        for name, value in asdict(scheduler.counters).items():
            yield CounterMetricFamily(f"anvil_multiplexer_{name}", _COUNTERS[name], value=value)
        roles = list(scheduler.roles.values())
        yield _gauge(
            "role_state",
            "1 for the state that a role is in.",
            ("role", "state"),
            (((role.name, state), role.state is state) for role in roles for state in State),
        )
        yield _gauge(
            "resident",
            "1 for the model that serves.",
            ("role", "model"),
            (((r.name, name), r.resident == name) for r in roles for name in r.models),
        )
        yield _gauge("in_flight", "Leases.", ("role", "model"), _counts(roles, Role.in_flight))
        yield _gauge("queued", "Who waits.", ("role", "model"), _counts(roles, Role.queued))
        yield _gauge(
            "state_seconds",
            "Time in this state.",
            ("role",),
            (((role.name,), self._now - role.since) for role in roles),
        )
        yield _gauge(
            "last_swap_seconds",
            "Phases of the last swap.",
            ("role", "phase"),
            (
                ((role.name, phase), getattr(role.last_swap, f"{phase}_s"))
                for role in roles
                if role.last_swap is not None
                for phase in ("drain", "stop", "load")
            ),
        )
        yield _gauge(
            "load_seconds",
            "What loads take, as measured.",
            ("model", "how"),
            (
                ((name, how), took)
                for name, known in scheduler.measured.items()
                for how, took in known.loads.items()
            ),
        )


_Samples = Iterable[tuple[tuple[str, ...], float]]


def text(scheduler: Scheduler, now: float) -> bytes:
    """The whole exposition."""
    return generate_latest(_Now(scheduler, now))


def _gauge(name: str, about: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(f"anvil_multiplexer_{name}", about, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _counts(roles: Iterable[Role], counted: Callable[[Role], dict[str, int]]) -> _Samples:
    return (((role.name, name), count) for role in roles for name, count in counted(role).items())
