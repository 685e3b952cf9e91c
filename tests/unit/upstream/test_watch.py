"""One timer for many deadlines."""

from __future__ import annotations

import asyncio

from anvil_ctl.upstream.watch import Watch


class Sleeper:
    """Is late once; then it leaves."""

    def __init__(self, watch: Watch, at: float) -> None:
        self.watch = watch
        self.at = at
        self.woken: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def due(self, now: float) -> float:
        if now >= self.at and not self.woken.done():
            self.woken.set_result(now)
            self.watch.discard(self)
        return self.at


async def test_the_earliest_deadline_is_kept_whatever_order_they_were_added_in() -> None:
    loop = asyncio.get_running_loop()
    watch = Watch(loop)
    start = loop.time()
    sleepers = [Sleeper(watch, start + after) for after in (9.0, 0.2, 0.05, 30.0)]
    for sleeper in sleepers:
        watch.add(sleeper, sleeper.at)

    first = await asyncio.wait_for(sleepers[2].woken, 5)
    second = await asyncio.wait_for(sleepers[1].woken, 5)

    assert 0.05 <= first - start < second - start
    assert second - start >= 0.2
    assert not sleepers[0].woken.done()


async def test_what_is_watched_after_a_pause_is_watched_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    watch = Watch(loop)
    for _ in range(2):
        sleeper = Sleeper(watch, loop.time() + 0.01)
        watch.add(sleeper, sleeper.at)
        await asyncio.wait_for(sleeper.woken, 5)
