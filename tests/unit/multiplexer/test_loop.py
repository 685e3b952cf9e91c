from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from anvil_ctl.multiplexer.engines import Engines
from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.model import RefusedError, UnknownModelError
from anvil_ctl.multiplexer.role import State
from anvil_ctl.multiplexer.ticket import Ticket

from .fakes import FakeContainers, FakeProbe, registry, row

Build = Callable[[], Awaitable[Loop]]


class Stage:
    """A loop over models a, b and c, with the containers that it thinks it has."""

    def __init__(self, drain_timeout_s: float = 20.0) -> None:
        self.containers = FakeContainers("box-a", "box-b", "box-c")
        self.probe = FakeProbe(self.containers)
        rows = [row(name) for name in "abc"]
        rows = [msgspec.structs.replace(each, drain_timeout_s=drain_timeout_s) for each in rows]
        self.rows = rows
        engines = Engines(self.containers, self.probe, poll_s=0.001)
        self.loop = Loop(registry(*rows), self.containers, engines)

    @property
    def state(self) -> State:
        return self.loop.scheduler.roles["cpu"].state

    async def granted(self, name: str) -> Ticket:
        ticket = self.loop.ask(name)
        assert await ticket.granted()
        return ticket

    async def rested(self) -> None:
        """Until nothing is under way in the role."""
        while jobs := [job for job in self.loop._jobs.values() if not job.done()]:
            await asyncio.wait(jobs)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.loop.open()
    yield stage
    await stage.loop.aclose()


async def test_a_swap_stops_the_old_container_before_it_starts_the_new_one(stage: Stage) -> None:
    stage.loop.leave(await stage.granted("a"))

    stage.loop.leave(await stage.granted("b"))

    assert stage.containers.acts == ["start box-a", "stop box-a", "start box-b"]
    assert stage.containers.most == 1


async def test_a_lease_for_the_resident_needs_no_container_call(stage: Stage) -> None:
    stage.loop.leave(await stage.granted("a"))
    stage.containers.down = True

    ticket = stage.loop.ask("a")

    assert await ticket.granted(within_s=0)
    stage.loop.leave(ticket)


async def test_a_running_answer_is_not_cut_by_a_swap(stage: Stage) -> None:
    streaming = await stage.granted("a")
    waiting = stage.loop.ask("b")
    assert not await waiting.granted(within_s=0)
    assert stage.containers.running() == {"box-a"}

    stage.loop.leave(streaming)

    assert await waiting.granted()
    assert not streaming.severed.is_set()
    stage.loop.leave(waiting)


async def test_a_drain_that_takes_too_long_severs_and_says_how_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage(drain_timeout_s=0.01)
    await stage.loop.open()
    endless = await stage.granted("a")

    waiting = await stage.granted("b")

    assert endless.severed.is_set()
    assert "1 leases severed" in caplog.text
    stage.loop.leave(endless)
    stage.loop.leave(waiting)
    await stage.loop.aclose()


async def test_an_engine_that_exits_while_it_loads_fails_its_waiters_at_once(stage: Stage) -> None:
    stage.containers.boxes["box-b"].exits_while_loading = 1
    stage.loop.leave(await stage.granted("a"))
    ticket = stage.loop.ask("b")

    async with asyncio.timeout(2):
        with pytest.raises(RefusedError, match="box-b exited with code 1 while it loaded b"):
            await ticket.granted()
        stage.loop.leave(ticket)
        await stage.rested()

    assert stage.loop.scheduler.roles["cpu"].resident == "a"
    assert stage.containers.acts[-2:] == ["stop box-b", "start box-a"]


async def test_an_engine_that_serves_another_model_fails_its_waiters(stage: Stage) -> None:
    stage.probe.wrong.add("a")
    ticket = stage.loop.ask("a")

    with pytest.raises(RefusedError, match="serves something else, not a"):
        await ticket.granted()

    stage.loop.leave(ticket)


async def test_an_engine_that_never_gets_ready_is_given_up(stage: Stage) -> None:
    slow = msgspec.structs.replace(stage.rows[0], start_timeout_s=0.02)
    await stage.loop.replace(registry(slow))
    stage.probe.loading.add("a")
    ticket = stage.loop.ask("a")

    with pytest.raises(RefusedError, match="a was not ready within 0 s"):
        await ticket.granted()

    stage.loop.leave(ticket)
    await stage.rested()
    assert stage.containers.running() == set()
    assert stage.state is State.FAILED


async def test_a_container_that_ignores_the_stop_is_killed(stage: Stage) -> None:
    stage.containers.boxes["box-a"].survives_stop = True
    stage.loop.leave(await stage.granted("a"))

    stage.loop.leave(await stage.granted("b"))

    assert stage.containers.acts == ["start box-a", "stop box-a", "kill box-a", "start box-b"]


async def test_a_stop_that_can_not_be_proven_keeps_the_old_model(stage: Stage) -> None:
    stage.loop.leave(await stage.granted("a"))
    stage.containers.on_stop = lambda _name: setattr(stage.containers, "down", True)
    stage.containers.boxes["box-a"].survives_stop = True
    ticket = stage.loop.ask("b")

    with pytest.raises(RefusedError, match="box-a is not proven to have stopped"):
        await ticket.granted()

    stage.loop.leave(ticket)
    assert stage.loop.scheduler.roles["cpu"].resident == "a"
    assert "start box-b" not in stage.containers.acts


async def test_a_container_that_was_removed_is_said_to_be_missing(stage: Stage) -> None:
    del stage.containers.boxes["box-b"]
    ticket = stage.loop.ask("b")

    with pytest.raises(RefusedError, match="box-b: there is no such container"):
        await ticket.granted()

    stage.loop.leave(ticket)


async def test_a_resident_that_dies_is_noticed_and_restarted(stage: Stage) -> None:
    ticket = await stage.granted("a")

    stage.containers.crash("box-a")
    await ticket.severed.wait()
    stage.loop.leave(ticket)
    stage.loop.leave(await stage.granted("a"))

    assert stage.containers.acts == ["start box-a", "start box-a"]
    assert stage.loop.scheduler.roles["cpu"].last_error == "box-a exited with code 139"


async def test_an_unreachable_resident_is_looked_at(stage: Stage) -> None:
    ticket = await stage.granted("a")
    box = stage.containers.boxes["box-a"]
    # Restarted behind our back, and the event was missed.
    box.state = msgspec.convert({"running": True, "run": "another"}, type(box.state))

    stage.loop.suspect("a")
    await ticket.severed.wait()

    stage.loop.leave(ticket)
    assert "restarted by someone else" in (stage.loop.scheduler.roles["cpu"].last_error or "")


async def test_a_false_alarm_changes_nothing(stage: Stage) -> None:
    ticket = await stage.granted("a")

    await stage.loop._check("a")
    await stage.loop._check("b")
    await stage.loop._check("no such model")

    assert not ticket.severed.is_set()
    stage.loop.leave(ticket)


async def test_what_runs_at_the_start_is_adopted_and_what_is_too_much_is_stopped() -> None:
    stage = Stage()
    await stage.containers.start("box-b")
    await stage.containers.start("box-c")
    stage.containers.acts.clear()

    await stage.loop.open()
    stage.loop.leave(await stage.granted("b"))

    assert stage.containers.acts == ["stop box-c"]
    assert stage.containers.running() == {"box-b"}
    await stage.loop.aclose()


async def test_what_someone_else_started_is_stopped_before_a_load(stage: Stage) -> None:
    await stage.containers.start("box-c")

    stage.loop.leave(await stage.granted("a"))

    assert stage.containers.running() == {"box-a"}
    assert stage.containers.acts == ["start box-c", "stop box-c", "start box-a"]


async def test_the_end_leaves_the_containers_running(stage: Stage) -> None:
    stage.loop.leave(await stage.granted("a"))

    await stage.loop.aclose()

    assert stage.containers.running() == {"box-a"}


async def test_stop_all_waits_for_the_leases_and_stops_the_resident(stage: Stage) -> None:
    ticket = await stage.granted("a")
    stopping = asyncio.create_task(stage.loop.stop_all())
    await asyncio.wait([stopping], timeout=0)
    with pytest.raises(RefusedError, match="being stopped"):
        await stage.loop.ask("a").granted()

    stage.loop.leave(ticket)

    assert await stopping == {"a": None}
    assert stage.containers.running() == set()
    assert stage.state is State.IDLE


async def test_stop_all_gives_up_a_load(stage: Stage) -> None:
    stage.probe.loading.add("a")
    ticket = stage.loop.ask("a")
    await stage.probe.asked.wait()

    assert await stage.loop.stop_all() == {"a": None}

    with pytest.raises(RefusedError):
        await ticket.granted()
    stage.loop.leave(ticket)
    assert stage.containers.running() == set()


async def test_stop_all_says_what_it_could_not_stop(stage: Stage) -> None:
    stage.loop.leave(await stage.granted("a"))
    stage.containers.down = True

    outcome = await stage.loop.stop_all()

    assert outcome["a"] is not None
    assert "not proven to have stopped" in outcome["a"]


async def test_stop_all_of_nothing_ends_at_once(stage: Stage) -> None:
    assert await stage.loop.stop_all() == {}


async def test_another_registry_forgets_the_old_models_and_adopts_its_own(stage: Stage) -> None:
    stage.loop.leave(await stage.granted("a"))
    stage.containers.boxes["box-x"] = type(stage.containers.boxes["box-a"])()
    await stage.containers.start("box-x")

    await stage.loop.replace(registry(row("x"), mode="agentic"))

    with pytest.raises(UnknownModelError):
        stage.loop.ask("a")
    stage.loop.leave(await stage.granted("x"))
    assert stage.containers.boxes["box-x"].starts == 1
    # The old mode's containers belong to whoever takes that mode down.
    assert "stop box-a" not in stage.containers.acts


async def test_a_load_of_the_old_registry_is_given_up(stage: Stage) -> None:
    stage.probe.loading.add("a")
    ticket = stage.loop.ask("a")
    await stage.probe.asked.wait()

    await stage.loop.replace(registry())

    with pytest.raises(RefusedError, match="replaced"):
        await ticket.granted()
    stage.loop.leave(ticket)
    assert stage.loop._jobs == {}


async def test_clients_of_two_models_are_all_served_all_of_one_model_together(stage: Stage) -> None:
    served: list[str] = []

    async def client(name: str) -> None:
        ticket = await stage.granted(name)
        served.append(name)
        await asyncio.sleep(0)
        stage.loop.leave(ticket)

    await asyncio.gather(*(client("ab"[i % 2]) for i in range(30)))

    assert served == ["a"] * 15 + ["b"] * 15
    assert stage.containers.most == 1


async def test_a_client_that_leaves_while_it_waits_is_forgotten(stage: Stage) -> None:
    streaming = await stage.granted("a")
    gone = stage.loop.ask("b")
    assert stage.loop.place(gone) is not None

    stage.loop.leave(gone)
    stage.loop.leave(gone)
    stage.loop.leave(streaming)

    assert stage.loop.place(gone) is None
    assert stage.containers.acts == ["start box-a"]
    assert stage.loop._tickets == {}
