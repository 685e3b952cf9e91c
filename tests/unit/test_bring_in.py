"""`anvil-ctl swap` against a multiplexer of real sockets and pretended containers."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from anvil_ctl.bring_in import Resident, bring_in, foretold
from anvil_ctl.errors import AnvilError, UsageError
from anvil_ctl.events import Event
from anvil_ctl.multiplexer.app import Multiplexer
from anvil_ctl.multiplexer.engines import Engines
from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.probe import HttpProbe
from anvil_ctl.paths import Home
from anvil_ctl.serving.admin import Admin
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.site import Site
from anvil_ctl.upstream.client import Pool
from tests.unit.definitions import cpu, renderer
from tests.unit.multiplexer.fakes import FakeContainers, registry, row
from tests.unit.multiplexer.servers import FakeEngine

QUICK, LONG = "smollm2-135m-quick", "smollm2-135m-long"


class Stage:
    """An installation whose multiplexer serves the two tiers of flexibility."""

    def __init__(self, quick: FakeEngine, long: FakeEngine, folder: Path) -> None:
        rows = [row(QUICK, url=quick.url), row(LONG, url=long.url)]
        self.containers = FakeContainers(f"box-{QUICK}", f"box-{LONG}")
        self.probe, self.pool = HttpProbe(), Pool()
        known = registry(*rows)
        self.loop = Loop(known, self.containers, Engines(self.containers, self.probe))
        hold = Hold()
        multiplexer = Multiplexer(self.loop, lambda: known, pool=self.pool, hold=hold)
        self.server = Server(multiplexer.app(Auth("sesame")))
        self.admin = Server(Admin(multiplexer, hold).app("sesame"))
        self.folder = folder
        self.said: list[Event] = []
        self.port = self.admin_port = 0

    @property
    def site(self) -> Site:
        config = cpu()
        ports = {"multiplexer_port": self.port, "multiplexer_admin_port": self.admin_port}
        machine = config.machine.model_copy(update=ports)
        config = config.model_copy(update={"machine": machine})
        tokens = {"ANVIL_ROUTER_TOKEN": "sesame", "ANVIL_ADMIN_TOKEN": "sesame"}
        site = Site(Home(self.folder), config, {}, renderer(config), {})
        return dataclasses.replace(site, secrets=tokens)

    async def swap(self, name: str) -> Resident:
        return await asyncio.to_thread(bring_in, self.site, name, self.said.append)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with FakeEngine(QUICK) as quick, FakeEngine(LONG) as long:
        made = Stage(quick, long, tmp_path)
        await made.loop.open()
        made.port = await made.server.listen("127.0.0.1", 0)
        made.admin_port = await made.admin.listen("127.0.0.1", 0)
        yield made
        await made.admin.stop(0)
        await made.server.stop(0)
        await made.loop.aclose()
        await made.pool.close()
        await made.probe.close()


@pytest.mark.parametrize("name", ["long", LONG])
async def test_a_model_is_brought_in_by_its_tier_or_its_name(stage: Stage, name: str) -> None:
    await stage.swap("quick")

    done = await stage.swap(name)

    assert (done.model, done.tier) == (LONG, "long")
    assert done.swap is not None
    assert (done.swap["from"], done.swap["to"], done.swap["result"]) == (QUICK, LONG, "ok")
    assert stage.containers.running() == {f"box-{LONG}"}
    assert stage.loop._tickets == {}, "the lease was given back"


async def test_what_is_resident_already_stays_as_it_is(stage: Stage) -> None:
    await stage.swap("quick")
    acts = list(stage.containers.acts)
    ticket = stage.loop.ask(QUICK)

    assert (await stage.swap("quick")).model == QUICK

    assert stage.containers.acts == acts
    stage.loop.leave(ticket)


async def test_the_wait_is_told(stage: Stage) -> None:
    await stage.swap("quick")
    busy = stage.loop.ask(QUICK)
    asked = asyncio.create_task(stage.swap("long"))
    while not stage.said:  # noqa: ASYNC110 - it is told from a thread
        await asyncio.sleep(0.01)

    stage.loop.leave(busy)
    await asked

    assert stage.said[-1].text == f"{LONG}: place 1"


async def test_a_model_that_does_not_come_is_an_error_with_the_cause(stage: Stage) -> None:
    stage.containers.boxes[f"box-{LONG}"].exits_while_loading = 3

    with pytest.raises(AnvilError, match=r"was not brought in: .* exited with code 3") as caught:
        await stage.swap("long")

    assert caught.value.hint == "anvil-ctl logs long multiplexer"


async def test_what_a_swap_would_do_is_told_and_nothing_is_done(stage: Stage) -> None:
    await stage.swap("quick")

    there = await asyncio.to_thread(foretold, stage.site, "quick")
    other = await asyncio.to_thread(foretold, stage.site, "long")

    assert there == f"{QUICK} is resident already: nothing to do"
    assert re.fullmatch(
        rf"would bring in {LONG} on cpu \(about \d+ s\), once the running answers of {QUICK} have "
        "ended",
        other,
    )
    last = (await stage.swap("quick")).swap
    assert last is not None
    assert last["from"] is None


async def test_a_tier_that_does_not_swap_is_named_with_those_that_do(stage: Stage) -> None:
    with pytest.raises(UsageError, match=r"'starter' is no tier that is swapped; .* quick, long"):
        await stage.swap("starter")


async def test_without_a_multiplexer_it_says_what_to_type(stage: Stage) -> None:
    await stage.server.stop(0)

    with pytest.raises(AnvilError, match="does not answer") as caught:
        await stage.swap("quick")

    assert "anvil-ctl up" in (caught.value.hint or "")
