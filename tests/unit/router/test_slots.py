"""Whose turn it is at a tier, and who is sent elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from anvil_ctl.router.slots import BUSY, Slots
from anvil_ctl.upstream.failure import UpstreamError


async def test_turns_are_taken_in_the_order_of_arrival() -> None:
    slots, order = Slots(1, 10, 5), []

    async def one(number: int) -> None:
        await slots.enter()
        order.append(number)
        await asyncio.sleep(0)
        slots.leave()

    await asyncio.gather(*(one(number) for number in range(8)))

    assert order == list(range(8))
    assert (slots.in_flight, slots.waiting) == (0, 0)


@pytest.mark.parametrize("queue", [0, 2])
async def test_who_finds_the_queue_full_is_sent_away_at_once(queue: int) -> None:
    slots = Slots(1, queue, 5)
    await slots.enter()
    waiters = [asyncio.create_task(slots.enter()) for _ in range(queue)]
    await asyncio.sleep(0)

    with pytest.raises(UpstreamError) as caught:
        await slots.enter()
    assert caught.value.failure is BUSY
    assert (slots.in_flight, slots.waiting) == (1, queue)
    for _ in range(queue + 1):
        slots.leave()
        await asyncio.sleep(0)
    await asyncio.gather(*waiters)


async def test_who_has_waited_long_enough_is_sent_away() -> None:
    slots = Slots(1, 10, 0.05)
    await slots.enter()

    with pytest.raises(UpstreamError):
        await asyncio.wait_for(slots.enter(), 1)
    assert (slots.in_flight, slots.waiting) == (1, 0)


async def test_who_leaves_the_queue_leaves_no_gap() -> None:
    slots = Slots(1, 10, 5)
    await slots.enter()
    first, second = (asyncio.create_task(slots.enter()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    slots.leave()
    await asyncio.wait_for(second, 1)

    assert (slots.in_flight, slots.waiting) == (1, 0)


async def test_whose_turn_comes_as_it_leaves_passes_it_on() -> None:
    slots = Slots(1, 10, 5)
    await slots.enter()
    first, second = (asyncio.create_task(slots.enter()) for _ in range(2))
    await asyncio.sleep(0)
    slots.leave()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    if not first.cancelled():
        slots.leave()
    await asyncio.wait_for(second, 1)

    assert (slots.in_flight, slots.waiting) == (1, 0)


async def test_without_a_limit_nobody_waits() -> None:
    slots = Slots(None, 0, 5)
    for _ in range(100):
        await slots.enter()

    assert slots.in_flight == 100
