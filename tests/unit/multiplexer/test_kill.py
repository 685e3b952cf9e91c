"""`kill -9` of the multiplexer in each of its states, and what the next one makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from anvil_ctl.multiplexer.role import State

from .daemon import TOKEN, Process, Site, process
from .servers import Clients, FakeEngine


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with FakeEngine("a") as a, FakeEngine("b") as b, Clients() as clients:
        made = Site(a, b, tmp_path, clients)
        await made.daemon.listen()
        yield made
        made.daemon.may_stop.set()
        await made.daemon.close()


async def idle(_site: Site, _process: Process) -> None:
    pass


async def loading(site: Site, process: Process) -> None:
    site.engines["a"].health = 503
    await site.clients.send(process.port, "POST", "/v1/lease", {"model": "a"}, TOKEN)


async def ready(site: Site, process: Process) -> None:
    assert (await site.asked(process, "a"))[0] == 200


async def draining(site: Site, process: Process) -> None:
    streaming = {"model": "a", "stream": True}
    await site.clients.call(process.port, "POST", "/v1/chat/completions", streaming, TOKEN)
    await site.clients.send(process.port, "POST", "/v1/lease", {"model": "b"}, TOKEN)


async def stopping(site: Site, process: Process) -> None:
    await ready(site, process)
    site.daemon.may_stop.clear()
    await site.clients.send(process.port, "POST", "/v1/lease", {"model": "b"}, TOKEN)


async def failed(site: Site, process: Process) -> None:
    site.containers.boxes["box-a"].exits_while_loading = 3
    assert (await site.asked(process, "a"))[0] == 503


WAYS: dict[State, Callable[[Site, Process], Awaitable[None]]] = {
    State.IDLE: idle,
    State.LOADING: loading,
    State.READY: ready,
    State.DRAINING: draining,
    State.STOPPING: stopping,
    State.FAILED: failed,
}


@pytest.mark.parametrize("state", State)
async def test_killed_in_any_state_it_comes_back_and_strands_no_container(
    site: Site, state: State
) -> None:
    async with asyncio.timeout(30), process(site.file, site.daemon) as first:
        await WAYS[state](site, first)
        await site.until(first, state)
        await first.kill()
    before = (sorted(site.containers.running()), len(site.containers.acts))

    site.daemon.may_stop.set()
    site.engines["a"].health = 200
    site.containers.boxes["box-a"].exits_while_loading = None
    async with asyncio.timeout(30), process(site.file, site.daemon) as second:
        for name in ("b", "a", "b"):
            assert await site.asked(second, name) == (200, {"served_by": name})

    acts = ", ".join(site.containers.acts[before[1] :])
    print(f"{state}: {before[0]} ran when it was killed; b, a and b were served by: {acts}")
    assert site.containers.most == 1, "two of a role never ran at once"
    assert site.containers.running() == {"box-b"}


async def test_what_serves_when_it_is_killed_is_adopted_without_a_restart(site: Site) -> None:
    async with asyncio.timeout(30), process(site.file, site.daemon) as first:
        await ready(site, first)
        await first.kill()

    async with asyncio.timeout(30), process(site.file, site.daemon) as second:
        assert (await site.asked(second, "a"))[0] == 200

    assert site.containers.acts == ["start box-a"]
