"""What is loaded, and who is put behind it."""

from __future__ import annotations

import msgspec

from anvil_ctl.router.judgement.intent import Intent, Source
from anvil_ctl.router.judgement.policy import Circumstances, Needs, notes, route
from anvil_ctl.router.judgement.residency import Residency
from anvil_ctl.router.judgement.settings import Memory
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile.store import Profile
from tests.unit.router.judgement import examples

SWAP = examples.swapping('"chat", "review", "bounded-edit"')
FAST, HEAVY, CLOUD = SWAP.tiers


def order(preset: str, residency: Residency, now: float) -> list[str]:
    work = {"chat": Work.CHAT, "review": Work.REVIEW, "quick-edit": Work.EDIT}[preset]
    pool = tuple(SWAP.tier(each) for each in SWAP.presets[preset])
    seen = Circumstances(residents=residency.residents(now), due=residency.due(now))
    decision = route(SWAP, Intent(Source.PRESET, preset, work, pool), Needs(), Profile(), seen)
    for tier in decision.deferred:
        if tier == decision.pool[0]:
            residency.put_off(tier, now)
    return [each.tier.id for each in decision.candidates]


def test_alternating_work_swaps_at_most_twice_in_twelve_requests() -> None:
    residency, loaded, swaps = Residency(Memory()), None, 0
    for number in range(12):
        first = order(("chat", "review")[number % 2], residency, float(number))[0]
        tier = SWAP.tier(first)
        residency.served(tier, float(number))
        if tier.swap_group is not None and loaded != first:
            loaded, swaps = first, swaps + 1

    assert swaps <= 2


def test_one_request_for_the_large_tier_does_not_capture_the_others_for_ever() -> None:
    residency = Residency(Memory(max_defer=60))
    residency.served(HEAVY, 0)
    assert order("quick-edit", residency, 1) == ["heavy-local", "cloud", "fast-local"]
    assert order("quick-edit", residency, 62)[0] == "fast-local"

    residency = Residency(Memory(ttl=300))
    residency.served(HEAVY, 0)
    assert residency.residents(299) == {"gpu": "heavy-local"}
    assert residency.residents(300) == {}


def test_tiers_that_are_always_loaded_are_never_put_off() -> None:
    free = msgspec.structs.replace(
        SWAP, tiers=tuple(msgspec.structs.replace(t, swap_group=None) for t in SWAP.tiers)
    )
    pool = tuple(free.tier(each) for each in free.presets["chat"])
    seen = Circumstances(residents={"gpu": "heavy-local"})
    decision = route(free, Intent(Source.PRESET, "chat", Work.CHAT, pool), Needs(), Profile(), seen)

    assert [each.tier.id for each in decision.candidates] == ["fast-local", "cloud"]
    assert decision.deferred == ()
    # What was known to be loaded is told all the same.
    assert notes(decision)["residency"] == {"gpu": "heavy-local"}


def test_the_later_of_what_was_served_and_what_the_multiplexer_said_counts() -> None:
    residency = Residency(Memory())
    residency.served(FAST, 1)
    residency.told({"gpu": "heavy-local"}, 2)
    assert residency.residents(3) == {"gpu": "heavy-local"}

    residency.served(FAST, 4)
    assert residency.residents(5) == {"gpu": "fast-local"}


def test_a_cloud_tier_says_nothing_of_what_is_loaded() -> None:
    residency = Residency(Memory())
    residency.served(HEAVY, 0)
    residency.served(CLOUD, 1)

    assert residency.residents(2) == {"gpu": "heavy-local"}
