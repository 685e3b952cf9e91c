"""Random orders of events against the scheduler, with containers that behave and misbehave."""

from __future__ import annotations

import math
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anvil_ctl.multiplexer.estimate import Measured
from anvil_ctl.multiplexer.model import Model, Refusal
from anvil_ctl.multiplexer.role import Bounds, State
from anvil_ctl.multiplexer.scheduler import Scheduler
from anvil_ctl.multiplexer.turn import longest_wait_s

from .floor import model

NAMES = ("a", "b", "c", "x", "y")
BOUNDS = Bounds(max_waiting=6, max_wait_s=500.0, restart_window_s=20.0)


FULL = Refusal(503, "insufficient_memory", "no room", 30)


class World:
    """Effects with a memory: what runs, what is being done, and who has what."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self.now = 0.0
        self.running: set[str] = set()
        self.asleep: set[str] = set()
        self.serving: set[str] = set()
        self.pending: dict[str, str] = {}
        self.waiting: dict[int, str] = {}
        self.leased: dict[int, str] = {}
        self.swaps_seen: dict[int, list[str]] = {}
        self.full: set[str] = set()
        rows = [model(name, "cpu" if name in "abc" else "gpu", 30.0) for name in NAMES]
        self.roles = {row.name: row.role for row in rows}
        self.scheduler = Scheduler(rows, self, bounds)

    def ask(self, ticket: int, name: str, *, interactive: bool = False) -> None:
        self.waiting[ticket] = name
        self.scheduler.ask(ticket, name, self.now, interactive=interactive)

    def leave(self, ticket: int) -> None:
        self.waiting.pop(ticket, None)
        self.leased.pop(ticket, None)
        self.scheduler.leave(ticket, self.now)

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

    def forbids(self, model: Model, leaving: Model | None) -> Refusal | None:
        assert leaving is None or leaving.name in self.serving, "asked too late: it is disturbed"
        return FULL if model.name in self.full else None

    def start(self, model: Model) -> None:
        others = {name for name in self.running if self.roles[name] == model.role} - {model.name}
        awake = others - self.asleep
        assert not awake, f"{model.name} was started while {awake} may run"
        assert not any(self.roles[name] == model.role for name in self.pending)
        assert any(name == model.name for name in self.waiting.values()) or (
            self.scheduler.roles[model.role].why in ("restarted", "restored")
        ), f"{model.name} was started, and nobody waits for it"
        self.running.add(model.name)
        self.asleep.discard(model.name)
        self.pending[model.name] = "starting"
        for ticket in self.waiting:
            if self.roles[self.waiting[ticket]] == model.role:
                self.swaps_seen.setdefault(ticket, []).append(model.name)

    def stop(self, model: Model, *, park: bool) -> None:
        held = [ticket for ticket, name in self.leased.items() if name == model.name]
        assert not held, f"{model.name} was stopped under leases {held}"
        self.serving.discard(model.name)
        self.asleep.discard(model.name)
        self.pending[model.name] = "parking" if park else "stopping"

    def has_started(self, name: str) -> None:
        del self.pending[name]
        self.serving.add(name)
        self.scheduler.started(name, self.now)

    def has_stopped(self, name: str, *, asleep: bool = False) -> None:
        del self.pending[name]
        if asleep:
            self.asleep.add(name)
        else:
            self.running.discard(name)
        self.scheduler.stopped(name, self.now, "sleep" if asleep else "stop")


class RandomOrders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.tickets = 0

    def pick(self, names: set[str], data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(names)))

    def doing(self, *what: str) -> set[str]:
        return {name for name, act in self.world.pending.items() if act in what}

    @rule(name=st.sampled_from(NAMES), interactive=st.booleans())
    def somebody_asks(self, name: str, *, interactive: bool) -> None:
        self.tickets += 1
        self.world.ask(self.tickets, name, interactive=interactive)

    @precondition(lambda self: self.world.waiting or self.world.leased)
    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted({**self.world.waiting, **self.world.leased})))
        self.world.leave(ticket)

    @precondition(lambda self: self.doing("starting"))
    @rule(data=st.data(), works=st.booleans())
    def a_start_ends(self, data: st.DataObject, *, works: bool) -> None:
        name = self.pick(self.doing("starting"), data)
        if works:
            self.world.has_started(name)
        else:
            del self.world.pending[name]
            self.world.scheduler.start_failed(name, "broken", self.world.now)

    @precondition(lambda self: self.doing("stopping", "parking"))
    @rule(data=st.data(), works=st.integers(0, 4), asleep=st.booleans())
    def a_stop_ends(self, data: st.DataObject, works: int, *, asleep: bool) -> None:
        name = self.pick(self.doing("stopping", "parking"), data)
        if works:
            self.world.has_stopped(name, asleep=asleep and self.world.pending[name] == "parking")
            return
        del self.world.pending[name]
        # What could not be stopped serves on, unless it never did.
        if self.world.scheduler.roles[self.world.roles[name]].why == "asked":
            self.world.serving.add(name)
        self.world.scheduler.stop_failed(name, "stuck", self.world.now)

    @precondition(lambda self: self.world.serving or self.world.asleep)
    @rule(data=st.data())
    def a_container_dies(self, data: st.DataObject) -> None:
        name = self.pick(self.world.serving | self.world.asleep, data)
        self.world.serving.discard(name)
        self.world.asleep.discard(name)
        self.world.running.discard(name)
        self.world.scheduler.died(name, "killed", self.world.now)

    @rule(names=st.sets(st.sampled_from(NAMES), max_size=2))
    def the_memory_that_is_left_changes(self, names: set[str]) -> None:
        self.world.full = names

    @rule(seconds=st.sampled_from([0.1, 1.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.scheduler.tick(self.world.now)

    @rule()
    def everything_is_closed(self) -> None:
        self.world.scheduler.close(self.world.now)

    @invariant()
    def at_most_one_container_of_a_role_is_awake(self) -> None:
        for role in ("cpu", "gpu"):
            running = {name for name in self.world.running if self.world.roles[name] == role}
            assert len(running - self.world.asleep) <= 1

    @invariant()
    def what_sleeps_is_known(self) -> None:
        parked = {name for role in self.world.scheduler.roles.values() for name in role.parked}
        waking = {name for name in parked if name in self.world.pending}
        assert parked - waking == self.world.asleep

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
        """Whoever waits, waits for something that is under way, or for a time that will come."""
        for role in self.world.scheduler.roles.values():
            assert len(role.waiters) <= BOUNDS.max_waiting
            if role.waiters and role.state is State.READY:
                assert not role.asked_for(role.holder)
                assert role.due is not None
                due = self.world.scheduler.next_tick()
                assert due is not None
                assert self.world.now <= due <= role.due
            elif role.waiters:
                assert role.state in (State.LOADING, State.STOPPING, State.DRAINING)
            if role.state in (State.LOADING, State.STOPPING):
                assert role.holder in self.world.pending

    @invariant()
    def nobody_waits_past_the_bound(self) -> None:
        for role in self.world.scheduler.roles.values():
            for waiter in role.waiters:
                assert self.world.now - waiter.since < BOUNDS.max_wait_s

    @invariant()
    def a_load_that_nobody_waits_for_makes_way(self) -> None:
        for role in self.world.scheduler.roles.values():
            if role.state is State.LOADING and role.waiters:
                assert role.asked_for(role.holder)

    def teardown(self) -> None:
        """From wherever the run stopped, everybody is served once things work: none is lost."""
        world = self.world
        world.full = set()
        for _ in range(200):
            if not world.waiting:
                break
            for name, act in sorted(world.pending.items()):
                if act == "starting":
                    world.has_started(name)
                else:
                    world.has_stopped(name)
            world.now += 31.0
            world.scheduler.tick(world.now)
        assert not world.waiting


RandomOrdersTest = RandomOrders.TestCase
RandomOrdersTest.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class NobodyStarves(RuleBasedStateMachine):
    """Loads and stops take what they take, and nothing fails: nobody waits past a known bound.

    The bound is `longest_wait_s`; whatever others ask for meanwhile, and however urgently. And
    who waits sees each other model loaded once at most, and one more for somebody interactive.
    """

    LOADS: ClassVar = {"a": 1.0, "b": 8.0, "c": 0.2, "x": 40.0, "y": 3.0}
    STOPS: ClassVar = {"a": 0.3, "b": 2.0, "c": 0.1, "x": 1.0, "y": 9.0}

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Bounds(max_waiting=50, max_wait_s=1e9))
        self.tickets = 0
        self.asked_at: dict[int, float] = {}
        self.due: dict[str, float] = {}

    @rule(name=st.sampled_from(NAMES), interactive=st.booleans(), again=st.integers(1, 6))
    def some_ask(self, name: str, *, interactive: bool, again: int) -> None:
        for _ in range(again):
            self.tickets += 1
            self.asked_at[self.tickets] = self.world.now
            self.world.ask(self.tickets, name, interactive=interactive)

    @precondition(lambda self: self.world.leased)
    @rule(data=st.data())
    def an_answer_ends(self, data: st.DataObject) -> None:
        self.world.leave(data.draw(st.sampled_from(sorted(self.world.leased))))

    @precondition(lambda self: self.world.waiting)
    @rule(data=st.data())
    def a_waiter_leaves(self, data: st.DataObject) -> None:
        self.world.leave(data.draw(st.sampled_from(sorted(self.world.waiting))))

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        until = self.world.now + seconds
        while (moment := self.next_moment()) <= until:
            self.world.now = max(moment, self.world.now)
            self.happen()
        self.world.now = until
        self.happen()

    def next_moment(self) -> float:
        self.plan()
        tick = self.world.scheduler.next_tick()
        return min([*self.due.values(), *([tick] if tick is not None else [])], default=math.inf)

    def plan(self) -> None:
        """Give each thing that has begun its end."""
        for name, act in self.world.pending.items():
            takes = self.LOADS if act == "starting" else self.STOPS
            self.due.setdefault(f"{act} {name}", self.world.now + takes[name])
        ended = [key for key in self.due if key.split()[1] not in self.world.pending]
        for key in ended:
            del self.due[key]

    def happen(self) -> None:
        """Whatever is over by now has its effect."""
        for key in [key for key, at in self.due.items() if at <= self.world.now]:
            act, name = key.split()
            del self.due[key]
            if self.world.pending.get(name) == act:
                if act == "starting":
                    self.world.has_started(name)
                else:
                    self.world.has_stopped(name)
        self.world.scheduler.tick(self.world.now)

    @invariant()
    def nobody_waits_longer_than_was_foretold(self) -> None:
        scheduler = self.world.scheduler
        for ticket, name in self.world.waiting.items():
            role = scheduler.roles[self.world.roles[name]]
            true = {each: Measured(0.0) for each in role.models}
            for each, known in true.items():
                known.loaded(self.LOADS[each])
                known.stopped(self.STOPS[each])
                known.drain_s = 30.0
            bound = longest_wait_s(role.models, true, scheduler.pace)
            assert self.world.now - self.asked_at[ticket] <= bound

    @invariant()
    def each_model_gets_at_most_one_turn_while_somebody_waits(self) -> None:
        for ticket in self.world.waiting:
            turns = self.world.swaps_seen.get(ticket, [])
            assert len(turns) <= len(set(turns)) + 1, f"{ticket} has seen {turns}"


NobodyStarvesTest = NobodyStarves.TestCase
NobodyStarvesTest.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
