"""The multiplexer of most of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .floor import Floor
from .rig import Rig
from .servers import Clients, FakeEngine


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with FakeEngine("a") as a, FakeEngine("b") as b, Clients() as clients:
        rig = Rig(a, b, clients)
        await rig.open()
        yield rig
        await rig.close()


@pytest.fixture
def floor() -> Floor:
    return Floor()
