"""Holding and draining."""

from __future__ import annotations

import asyncio

import pytest

from anvil_ctl.serving.hold import Bounds, Hold, HoldFullError


async def one(hold: Hold, done: asyncio.Event | None = None) -> None:
    async with hold.admitted():
        if done is not None:
            await done.wait()


async def test_held_requests_go_on_when_released() -> None:
    hold = Hold()
    hold.hold("switch", 30)
    tasks = [asyncio.create_task(one(hold)) for _ in range(50)]
    await asyncio.sleep(0)

    assert (hold.waiting, hold.in_flight, hold.reason) == (50, 0, "switch")
    hold.release()
    await asyncio.gather(*tasks)
    assert (hold.waiting, hold.in_flight, hold.held) == (0, 0, False)


async def test_a_hold_that_nobody_releases_releases_itself() -> None:
    hold = Hold()
    hold.hold("killed", 0.05)

    await asyncio.wait_for(one(hold), 1)
    assert not hold.held


@pytest.mark.parametrize("bounds", [Bounds(requests=1), Bounds(size=15)])
async def test_only_so_many_and_so_much_may_wait(bounds: Bounds) -> None:
    hold = Hold(bounds)
    hold.hold("changing to b", 30, expected_s=41.5)
    first = asyncio.create_task(hold.enter(10))
    await asyncio.sleep(0)
    assert (hold.waiting, hold.waiting_bytes) == (1, 10)

    with pytest.raises(HoldFullError, match="changing to b: too many") as raised:
        await hold.enter(10)

    assert raised.value.retry_after_s == 42
    hold.release()
    await first
    assert (hold.waiting, hold.waiting_bytes, hold.expected_s) == (0, 0, None)


async def test_nobody_waits_for_longer_than_is_allowed() -> None:
    hold = Hold(Bounds(age_s=0.01))
    hold.hold("changing to b", 30)

    with pytest.raises(HoldFullError, match="has waited for 0 s") as raised:
        await asyncio.wait_for(hold.enter(), 5)

    assert (raised.value.retry_after_s, hold.waiting, hold.in_flight) == (5, 0, 0)


async def test_drained_waits_for_those_in_flight_and_not_for_those_held() -> None:
    hold, done = Hold(), asyncio.Event()
    running = asyncio.create_task(one(hold, done))
    await asyncio.sleep(0)
    hold.hold("switch", 30)
    waiting = asyncio.create_task(one(hold))
    await asyncio.sleep(0)

    assert not await hold.drained(0.02)
    done.set()
    assert await hold.drained(1)
    await running
    hold.release()
    await waiting


async def test_a_waiter_that_leaves_is_not_counted() -> None:
    hold = Hold()
    hold.hold("switch", 30)
    task = asyncio.create_task(one(hold))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (hold.waiting, hold.in_flight) == (0, 0)
    hold.release()
