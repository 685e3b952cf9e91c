"""An agent that is killed in the middle of an answer leaves no engine working."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.clients import agents
from tests.clients.agents import Agent
from tests.clients.table import AGENTS, DIALECTS, at
from tests.double.engine import Turn, scripted

STORY = Turn("Once upon a time there was a river, and it was long.", held=True)


@DIALECTS
@AGENTS
async def test_the_engine_sees_it_leave_within_half_a_second(
    tmp_path: Path, agent: Agent, dialect: str
) -> None:
    async with at(agent, tmp_path, dialect, scripted(STORY)) as table:
        async with agents.running(agent, table.place, "Tell me a story.") as process:
            await asyncio.wait_for(table.engine.holding.wait(), 30)
            assert not table.seen.gone.is_set()

            agents.kill(process)
            killed = time.monotonic()
            await asyncio.wait_for(table.seen.gone.wait(), 0.5)

        print(f"{agent.name}, {dialect}: engine let go {time.monotonic() - killed:.3f} s after")
