"""Random orders of events against the scheduler, with containers that behave and misbehave."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anvil_ctl.multiplexer.model import Model, Refusal
from anvil_ctl.multiplexer.role import Bounds, State
from anvil_ctl.multiplexer.scheduler import Scheduler

from .test_scheduler import model

NAMES = ("a", "b", "c", "x", "y")
BOUNDS = Bounds(max_waiting=6, max_wait_s=500.0, restart_window_s=20.0)


class World:
    """Effects with a memory: what runs, what is being done, and who has what."""

    def __init__(self) -> None:
        self.now = 0.0
        self.running: set[str] = set()
        self.serving: set[str] = set()
        self.pending: dict[str, str] = {}
        self.waiting: dict[int, str] = {}
        self.leased: dict[int, str] = {}
        self.swaps_seen: dict[int, list[str]] = {}
        rows = [model(name, "cpu" if name in "abc" else "gpu", 30.0) for name in NAMES]
        self.roles = {row.name: row.role for row in rows}
        self.scheduler = Scheduler(rows, self, BOUNDS)

    def grant(self, ticket: int) -> None:
        name = self.waiting.pop(ticket)
        assert name in self.serving, f"{name} was granted while it did not serve"
        assert name not in self.pending, f"{name} was granted while {self.pending[name]}"
        self.leased[ticket] = name

    def refuse(self, ticket: int, refusal: Refusal) -> None:
        assert refusal.message
        del self.waiting[ticket]

    def sever(self, ticket: int) -> None:
        del self.leased[ticket]

    def start(self, model: Model) -> None:
        others = {name for name in self.running if self.roles[name] == model.role} - {model.name}
        assert not others, f"{model.name} was started while {others} may run"
        assert not any(self.roles[name] == model.role for name in self.pending)
        self.running.add(model.name)
        self.pending[model.name] = "starting"
        for ticket in self.waiting:
            if self.roles[self.waiting[ticket]] == model.role:
                self.swaps_seen.setdefault(ticket, []).append(model.name)

    def stop(self, model: Model) -> None:
        held = [ticket for ticket, name in self.leased.items() if name == model.name]
        assert not held, f"{model.name} was stopped under leases {held}"
        self.serving.discard(model.name)
        self.pending[model.name] = "stopping"


class RandomOrders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.tickets = 0

    def pick(self, names: set[str], data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(names)))

    def doing(self, what: str) -> set[str]:
        return {name for name, act in self.world.pending.items() if act == what}

    @rule(name=st.sampled_from(NAMES))
    def somebody_asks(self, name: str) -> None:
        self.tickets += 1
        self.world.waiting[self.tickets] = name
        self.world.scheduler.ask(self.tickets, name, self.world.now)

    @precondition(lambda self: self.world.waiting or self.world.leased)
    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted({**self.world.waiting, **self.world.leased})))
        self.world.waiting.pop(ticket, None)
        self.world.leased.pop(ticket, None)
        self.world.scheduler.leave(ticket, self.world.now)

    @precondition(lambda self: self.doing("starting"))
    @rule(data=st.data(), works=st.booleans())
    def a_start_ends(self, data: st.DataObject, *, works: bool) -> None:
        name = self.pick(self.doing("starting"), data)
        del self.world.pending[name]
        if works:
            self.world.serving.add(name)
            self.world.scheduler.started(name, self.world.now)
        else:
            self.world.scheduler.start_failed(name, "broken", self.world.now)

    @precondition(lambda self: self.doing("stopping"))
    @rule(data=st.data(), works=st.integers(0, 4))
    def a_stop_ends(self, data: st.DataObject, works: int) -> None:
        name = self.pick(self.doing("stopping"), data)
        del self.world.pending[name]
        if works:
            self.world.running.discard(name)
            self.world.scheduler.stopped(name, self.world.now)
        else:
            # What could not be stopped serves on, unless it never did.
            if self.world.scheduler.roles[self.world.roles[name]].why == "asked":
                self.world.serving.add(name)
            self.world.scheduler.stop_failed(name, "stuck", self.world.now)

    @precondition(lambda self: self.world.serving)
    @rule(data=st.data())
    def a_resident_dies(self, data: st.DataObject) -> None:
        name = self.pick(self.world.serving, data)
        self.world.serving.discard(name)
        self.world.running.discard(name)
        self.world.scheduler.died(name, "killed", self.world.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.scheduler.tick(self.world.now)

    @rule()
    def everything_is_closed(self) -> None:
        self.world.scheduler.close(self.world.now)

    @invariant()
    def at_most_one_container_of_a_role_runs(self) -> None:
        for role in ("cpu", "gpu"):
            assert len([n for n in self.world.running if self.world.roles[n] == role]) <= 1

    @invariant()
    def the_books_agree_with_the_world(self) -> None:
        roles = self.world.scheduler.roles.values()
        assert {t: n for role in roles for t, n in role.leases.items()} == self.world.leased
        waiting = {waiter.ticket: waiter.model for role in roles for waiter in role.waiters}
        assert waiting == self.world.waiting

    @invariant()
    def leases_are_for_the_resident(self) -> None:
        for role in self.world.scheduler.roles.values():
            assert set(role.leases.values()) <= {role.resident}

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """Whoever waits, waits for something that is under way, or for leases that time out."""
        for role in self.world.scheduler.roles.values():
            assert len(role.waiters) <= BOUNDS.max_waiting
            if role.waiters:
                assert role.state in (State.LOADING, State.STOPPING, State.DRAINING)
            if role.state in (State.LOADING, State.STOPPING):
                assert role.holder in self.world.pending

    def teardown(self) -> None:
        """From wherever the run stopped, everybody is served once things work: none is lost."""
        world = self.world
        served: dict[int, int] = {}
        for _ in range(200):
            if not world.waiting:
                break
            before = set(world.waiting)
            for name in sorted(world.pending):
                act = world.pending.pop(name)
                if act == "starting":
                    world.serving.add(name)
                    world.scheduler.started(name, world.now)
                else:
                    world.running.discard(name)
                    world.scheduler.stopped(name, world.now)
            for ticket in before - set(world.waiting):
                served[ticket] = len(served)
            world.now += 31.0
            world.scheduler.tick(world.now)
        assert not world.waiting


RandomOrdersTest = RandomOrders.TestCase
RandomOrdersTest.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class NobodyStarves(RandomOrders):
    """Without failures or closing: no waiter sees a model of its role loaded a second time.

    That bounds every wait by one round of the role's models, whatever arrives meanwhile.
    """

    @invariant()
    def each_model_gets_at_most_one_turn_while_somebody_waits(self) -> None:
        for ticket in self.world.waiting:
            turns = self.world.swaps_seen.get(ticket, [])
            assert len(turns) == len(set(turns)), f"{ticket} has seen {turns}"

    # A rule of the parent that is set to None is not run.
    a_resident_dies = None  # type: ignore[assignment]
    everything_is_closed = None  # type: ignore[assignment]

    @precondition(lambda self: self.doing("starting"))
    @rule(data=st.data())
    def a_start_ends(self, data: st.DataObject) -> None:
        name = self.pick(self.doing("starting"), data)
        del self.world.pending[name]
        self.world.serving.add(name)
        self.world.scheduler.started(name, self.world.now)

    @precondition(lambda self: self.doing("stopping"))
    @rule(data=st.data())
    def a_stop_ends(self, data: st.DataObject) -> None:
        name = self.pick(self.doing("stopping"), data)
        del self.world.pending[name]
        self.world.running.discard(name)
        self.world.scheduler.stopped(name, self.world.now)


NobodyStarvesTest = NobodyStarves.TestCase
NobodyStarvesTest.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
