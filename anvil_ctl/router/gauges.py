"""What is so at the moment of a scrape: load, circuits, residents, doubts."""

from __future__ import annotations

from collections import Counter

from anvil_ctl.router.bound import BoundTier, Live
from anvil_ctl.router.exposition import Gauge
from anvil_ctl.router.judgement.breaker import State as Circuit
from anvil_ctl.router.state import State


def gauges(state: State) -> list[Gauge]:
    """All of them, in the words of the configuration."""
    live, written = state.live, state.decision_log
    lost = 0 if written is None else written.dropped

    def shut(bound: BoundTier) -> bool:
        return live.experience.circuit(bound.tier) is not Circuit.CLOSED

    by_tier = (
        ("anvil_in_flight", "Requests that a tier is serving.", lambda b: b.slots.in_flight),
        ("anvil_queue_depth", "Requests that wait for a tier.", lambda b: b.slots.waiting),
        ("anvil_circuit_open", "Whether a tier is left alone for now.", shut),
    )
    return [
        *(
            Gauge(name, about, ("tier",), {(b.tier.id,): float(number(b)) for b in live.tiers})
            for name, about, number in by_tier
        ),
        Gauge(
            "anvil_held", "Requests that wait for a change to end.", (), {(): state.hold.waiting}
        ),
        Gauge("anvil_decisions_lost", "Records that the disk did not take.", (), {(): lost}),
        _residents(live),
        *_rows(live),
    ]


def _residents(live: Live) -> Gauge:
    """As far as the router knows: what it has not been told or seen lately is not there."""
    found = live.experience.now(frozenset(), None).residents
    numbers: dict[tuple[str, ...], float] = dict.fromkeys(found.items(), 1.0)
    return Gauge("anvil_resident", "What is loaded.", ("group", "tier"), numbers)


def _rows(live: Live) -> list[Gauge]:
    """Rows of the profile that are about this configuration's tiers."""
    ours = {tier.id for tier in live.config.tiers}
    rows = [(tier, row) for (tier, _work), row in live.profile if tier in ours]
    counts: Counter[tuple[str, ...]] = Counter(
        (row.effective.value, str(row.stale).lower()) for _tier, row in rows
    )
    stale = Counter(tier for tier, row in rows if row.stale)
    return [
        Gauge("anvil_profile_rows", "Rows by what holds now.", ("verdict", "stale"), dict(counts)),
        Gauge(
            "anvil_profile_stale",
            "Rows that are in doubt.",
            ("tier",),
            {(bound.tier.id,): stale[bound.tier.id] for bound in live.tiers},
        ),
    ]
