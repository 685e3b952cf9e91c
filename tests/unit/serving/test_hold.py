"""Holding and draining."""

from __future__ import annotations

import asyncio

import pytest

from anvil_ctl.serving.hold import Hold, HoldFullError


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


async def test_only_so_many_may_wait() -> None:
    hold = Hold(max_waiting=1)
    hold.hold("switch", 30)
    first = asyncio.create_task(one(hold))
    await asyncio.sleep(0)
    with pytest.raises(HoldFullError):
        await one(hold)
    hold.release()
    await first


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
