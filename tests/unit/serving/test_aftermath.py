"""Requests that are over, handed on together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from anvil_ctl.serving.aftermath import Aftermath, wall_clock
from anvil_ctl.serving.exchange import Exchange
from tests.unit.serving.test_access import ASK, answered


async def test_many_are_handed_on_in_order_without_waiting_and_few_soon() -> None:
    taken: list[list[str]] = []
    all_there = asyncio.Event()

    def take(over: Sequence[Exchange]) -> None:
        taken.append([each.request_id for each in over])
        if sum(map(len, taken)) == 100:
            all_there.set()

    over = Aftermath(take)
    for number in range(100):
        over(answered(ASK, str(number)))
    assert len(taken) == 1, "those that are many don't wait for the clock"

    await asyncio.wait_for(all_there.wait(), 5)
    assert [each for some in taken for each in some] == [str(number) for number in range(100)]


async def test_flushing_hands_on_at_once_and_nothing_twice() -> None:
    taken: list[int] = []
    over = Aftermath(lambda some: taken.append(len(some)), lambda some: taken.append(-len(some)))
    over.flush()
    over(answered(ASK, "one"))
    over.flush()
    over.flush()

    assert taken == [1, -1], "to one after the other"


def test_an_exchanges_times_can_be_told_as_unix_seconds() -> None:
    assert abs(time.monotonic() + wall_clock() - time.time()) < 0.1
