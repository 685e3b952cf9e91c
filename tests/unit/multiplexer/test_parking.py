"""Models that sleep: each engine's way as its engine.toml has it, proved, and given up if wrong."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
import pytest

from anvil_ctl import engines as folders
from anvil_ctl.multiplexer import view
from anvil_ctl.multiplexer.engines import Engines
from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.model import Call, Flag, Memory, Park
from anvil_ctl.multiplexer.parking import Parking
from anvil_ctl.multiplexer.probe import HttpProbe
from anvil_ctl.multiplexer.registry import Registry
from anvil_ctl.multiplexer.standing import Standing, Verdict
from tests.double.server import double
from tests.double.sleeper import Card, Ill, Sleeper

from .fakes import FakeContainers, registry, row

ROOT = Path(__file__).parents[3]
FILES = folders.load_all(ROOT / "engines")
WAYS = [(name, way) for name, engine in FILES.items() for way in engine.file.parking]


def park(engine: str, way: str, **changes: object) -> Park:
    """A way as the engine's folder has it."""
    found = FILES[engine].file.parking[way]
    made = Park(
        name=way,
        leave=tuple(Call(call.path, dict(call.body)) for call in found.leave),
        enter=tuple(Call(call.path, dict(call.body)) for call in found.enter),
        asleep=Flag(**found.asleep.model_dump()) if found.asleep else None,
        starts_asleep=found.starts_asleep,
    )
    return msgspec.structs.replace(made, **changes)


SLEEP = park("vllm", "sleep")


@dataclass
class Floor:
    """A loop over two models that can sleep, on a card that has room for one that is awake."""

    loop: Loop
    containers: FakeContainers
    card: Card
    a: Sleeper
    b: Sleeper
    standing: Standing
    session: aiohttp.ClientSession
    probe: HttpProbe

    async def use(self, name: str) -> None:
        ticket = self.loop.ask(name)
        try:
            assert await ticket.granted()
        finally:
            self.loop.leave(ticket)

    def verdict(self, name: str) -> Verdict | None:
        return self.standing.of(self.loop.scheduler.models[name])

    @property
    def parked(self) -> list[str]:
        return list(self.loop.scheduler.roles["cpu"].parked)


@contextlib.asynccontextmanager
async def floor(
    way: Park | None = SLEEP,
    *,
    ill: Ill | None = None,
    state: Path | None = None,
    ram: Callable[[], int | None] = lambda: None,
    memory: Memory | None = None,
    card: int = 0,
) -> AsyncIterator[Floor]:
    memory_of = Card(100)
    a, b = Sleeper("a", memory_of, ill=ill), Sleeper("b", memory_of)
    containers = FakeContainers("box-a", "box-b")
    containers.on_start = {"box-a": a.boot, "box-b": b.boot}
    containers.on_end = {"box-a": a.end, "box-b": b.end}
    async with (
        double(a) as at_a,
        double(b) as at_b,
        aiohttp.ClientSession() as session,
    ):
        rows = [row("a", url=at_a.url), row("b", url=at_b.url)]
        rows = [msgspec.structs.replace(each, park=way, memory=memory or Memory()) for each in rows]
        cards = {"cpu": card} if card else {}
        known = msgspec.structs.replace(registry(*rows), cards=cards)
        standing, probe = Standing(state), HttpProbe()
        engines = Engines(containers, probe, Parking(session, standing), poll_s=0.001)
        loop = Loop(known, containers, engines, ram=ram)
        await loop.open()
        try:
            yield Floor(loop, containers, memory_of, a, b, standing, session, probe)
        finally:
            await loop.aclose()
            await probe.close()


@pytest.mark.parametrize(("engine", "way"), WAYS, ids=[f"{e}-{w}" for e, w in WAYS])
async def test_each_way_of_each_engine_is_taken_proved_and_taken_again(
    engine: str, way: str
) -> None:
    async with floor(park(engine, way)) as on:
        for name in "abab":
            await on.use(name)

        assert on.containers.acts == ["start box-a", "start box-b"], "each container starts once"
        calls = [call.path for call in (*park(engine, way).leave, *park(engine, way).enter)]
        assert [call for call in on.a.calls if call in calls] == [*calls, calls[0]]
        assert on.verdict("a") == Verdict(proved=True)
        assert (on.parked, on.card.free) == (["a"], 20)
        known = on.loop.scheduler.measured["a"]
        print(f"{engine}, {way}: {', '.join(on.a.calls)}; {on.verdict('a')}")
        assert set(known.loads) == {"start", way}
        assert set(known.stops) == {way}


@pytest.mark.parametrize(
    ("ill", "said"),
    [
        ("garbled", "after it woke, it says 'Primes primes primes', and said '2, 3, 5"),
        ("renamed", "a answered 404 to a question"),
        ("slow", "after it woke, its first token takes 0.6"),
        ("refuses", '/wake_up answered 500: {"error": "cannot wake"}'),
    ],
)
async def test_one_that_wakes_broken_is_restarted_before_anybody_gets_it_and_never_parked_again(
    ill: Ill, said: str
) -> None:
    async with floor(ill=ill) as on:
        for name in "aba":
            await on.use(name)

        verdict = on.verdict("a")
        assert verdict is not None
        assert not verdict.proved
        assert verdict.reason.startswith(said)
        assert on.containers.acts[2:] == ["stop box-a", "start box-a"]
        assert not on.a.woke, "who was let to it met a fresh one"

        await on.use("b")

        print(f"wakes {ill}: {verdict}; {', '.join(on.containers.acts)}")
        assert on.containers.acts[-1] == "stop box-a"
        assert on.parked == []


@pytest.mark.parametrize(("engine", "way"), WAYS, ids=[f"{e}-{w}" for e, w in WAYS])
async def test_each_way_of_each_engine_is_given_up_where_it_wakes_broken(
    engine: str, way: str
) -> None:
    async with floor(park(engine, way), ill="garbled") as on:
        for name in "abab":
            await on.use(name)

        print(f"{engine}, {way}: {on.verdict('a')}; {', '.join(on.containers.acts)}")
        verdict = on.verdict("a")
        assert verdict is not None
        assert not verdict.proved
        assert on.verdict("b") == Verdict(proved=True), "the other model's verdict is its own"
        assert on.containers.acts[2:] == ["stop box-a", "start box-a", "stop box-a"]


async def test_what_was_found_out_is_shown() -> None:
    async with floor(ill="garbled") as on:
        for name in "aba":
            await on.use(name)

        shown = view.healthz(on.loop.scheduler, on.loop.now(), 0.0, on.loop.verdicts())["parking"]

        assert isinstance(shown, dict)
        assert shown["a"]["state"] == "given up"
        assert "Primes primes" in shown["a"]["reason"]
        assert shown["b"] == {"way": "sleep", "state": "untried", "reason": ""}


async def test_one_that_does_not_go_to_sleep_is_stopped() -> None:
    async with floor(ill="stuck") as on:
        on.loop.scheduler.models["a"] = msgspec.structs.replace(
            on.loop.scheduler.models["a"], start_timeout_s=0.2
        )
        for name in "ab":
            await on.use(name)

        verdict = on.verdict("a")
        assert verdict == Verdict(proved=False, reason="it was not asleep in 0 s")
        assert on.containers.acts == ["start box-a", "stop box-a", "start box-b"]


async def test_one_that_keeps_the_card_is_found_out_by_the_next_and_stopped_from_then_on() -> None:
    async with floor() as on:
        on.a.leaks = 60
        for name in "ab":
            await on.use(name)

        verdict = on.verdict("a")
        assert verdict is not None
        assert verdict.reason.startswith("b did not start beside it: box-b exited with code 1")
        assert on.containers.running() == {"box-b"}
        await on.use("a")
        await on.use("b")
        assert on.containers.running() == {"box-b"}


async def test_what_was_found_out_outlives_the_process(tmp_path: Path) -> None:
    file = tmp_path / "parking.json"
    async with floor(ill="garbled", state=file) as on:
        for name in "aba":
            await on.use(name)

    async with floor(state=file) as on:
        for name in "ab":
            await on.use(name)

        assert on.parked == []
        assert on.a.calls == []


async def test_a_file_that_can_not_be_read_or_written_costs_the_memory_alone(
    tmp_path: Path,
) -> None:
    file = tmp_path / "parking.json"
    file.write_text("not JSON")
    async with floor(state=file) as on:
        for name in "aba":
            await on.use(name)
        assert on.verdict("a") == Verdict(proved=True)

    standing = Standing(tmp_path / "missing" / "parking.json")
    standing.proved(row("a"))


async def test_a_sleeper_that_dies_is_started_anew() -> None:
    async with floor() as on:
        for name in "ab":
            await on.use(name)
        assert on.parked == ["a"]

        on.containers.crash("box-a")
        await on.loop._check("a")
        assert on.parked == []
        await on.use("a")

        assert on.containers.acts[-1] == "start box-a"


async def test_without_the_ram_for_what_it_keeps_it_is_stopped() -> None:
    way = msgspec.structs.replace(SLEEP, holds_mib=70)
    async with floor(way, ram=lambda: 60) as on:
        for name in "ab":
            await on.use(name)

        assert on.containers.running() == {"box-b"}


async def test_what_sleeps_is_stopped_where_its_leftovers_are_in_the_way() -> None:
    """The ledger: 80 of 100 for the one awake, 15 left over by each that sleeps."""
    way = msgspec.structs.replace(SLEEP, leftover_mib=15)
    async with floor(way, memory=Memory(card=80), card=100) as on:
        for name in "ab":
            await on.use(name)
        assert on.parked == ["a"]

    way = msgspec.structs.replace(SLEEP, leftover_mib=30)
    async with floor(way, memory=Memory(card=80), card=100) as on:
        for name in "ab":
            await on.use(name)
        assert on.containers.running() == {"box-b"}


async def test_stopping_all_stops_what_sleeps_too() -> None:
    async with floor() as on:
        for name in "ab":
            await on.use(name)

        stopped = await on.loop.stop_all()

        assert on.containers.running() == set()
        assert stopped == {"b": None}


async def test_after_a_restart_the_one_that_was_awake_is_adopted() -> None:
    async with floor() as on:
        for name in "ab":
            await on.use(name)
        await on.loop.aclose()

        again = Loop(registry_of(on), on.containers, on.loop._engines)
        await again.open()
        ticket = again.ask("b")
        assert await ticket.granted()

        assert again.scheduler.roles["cpu"].resident == "b"
        assert on.containers.running() == {"box-b"}, "what slept was stopped, not stranded"
        again.leave(ticket)
        await again.aclose()


@pytest.mark.parametrize(("engine", "way"), WAYS, ids=[f"{e}-{w}" for e, w in WAYS])
async def test_another_process_wakes_what_this_one_put_to_sleep(
    engine: str, way: str, tmp_path: Path
) -> None:
    file = tmp_path / "parking.json"
    async with floor(park(engine, way), state=file) as on:
        for name in "abab":
            await on.use(name)
        await on.loop.aclose()

        parking = Parking(on.session, Standing(file))
        engines = Engines(on.containers, on.probe, parking, poll_s=0.001)

        ready = await engines.ensure_ready(on.loop.scheduler.models["a"])

        assert ready.how == way
        assert not on.a.asleep
        assert (await engines.ensure_ready(on.loop.scheduler.models["b"])).how == "start"
        assert on.containers.boxes["box-b"].starts == 1, "it was awake, and stays so"


async def test_one_that_slept_unproved_through_a_restart_is_started_anew_and_not_blamed() -> None:
    async with floor() as on:
        for name in "ab":
            await on.use(name)
        await on.loop.aclose()
        standing = Standing()
        engines = Engines(on.containers, on.probe, Parking(on.session, standing), poll_s=0.001)
        model = on.loop.scheduler.models["a"]
        await engines.ensure_stopped(on.loop.scheduler.models["b"])

        ready = await engines.ensure_ready(model)

        assert ready.how == "start"
        assert standing.of(model) is None


def registry_of(on: Floor) -> Registry:
    return registry(*on.loop.scheduler.models.values())
