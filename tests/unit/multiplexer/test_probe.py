from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from anvil_ctl.multiplexer.probe import HttpProbe, WrongModelError

from .fakes import row
from .servers import FakeEngine


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with FakeEngine("a") as engine:
        yield engine


@pytest.fixture
async def probe() -> AsyncIterator[HttpProbe]:
    probe = HttpProbe()
    yield probe
    await probe.close()


async def test_an_engine_that_is_healthy_and_lists_the_model_is_ready(
    engine: FakeEngine, probe: HttpProbe
) -> None:
    assert await probe.ready(row("a", url=engine.url))


async def test_an_engine_that_loads_is_not_ready(engine: FakeEngine, probe: HttpProbe) -> None:
    engine.health = 503

    assert not await probe.ready(row("a", url=engine.url))


async def test_an_engine_that_serves_something_else_is_the_wrong_one(
    engine: FakeEngine, probe: HttpProbe
) -> None:
    with pytest.raises(WrongModelError, match="serves a, not b"):
        await probe.ready(row("b", url=engine.url))


@pytest.mark.parametrize("listing", [{"data": []}, {"data": [{}]}, {}, [], "nothing"])
async def test_a_listing_without_models_is_not_ready(
    engine: FakeEngine, probe: HttpProbe, listing: object
) -> None:
    engine.listing = listing

    assert not await probe.ready(row("a", url=engine.url))


async def test_an_engine_that_is_not_there_is_not_ready(probe: HttpProbe) -> None:
    async with FakeEngine("a") as engine:
        url = engine.url

    assert not await probe.ready(row("a", url=url))
