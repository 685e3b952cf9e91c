"""Who gets which model, and when one makes room for another. No clock, no I/O: time is passed in.

After every event these decisions are taken for the role it touched, until none applies:

 1. Whoever has waited past the bound is refused.
 2. READY: whoever waits for the resident gets a lease.
 3. READY, and it is another model's turn (`turn.py` says when) or the role closes: the resident
    drains, and from here on nobody gets it. If the machine has no room for that other model, those
    who want it are refused instead, and the resident serves on undisturbed.
 4. DRAINING, and nobody waits any more for the model that it makes way for: it serves on.
 5. DRAINING, and no lease is left or the time is up: what is left is severed, the resident goes.
 6. LOADING, and nobody waits for it any more while somebody waits for another model, or the role
    closes: the load is given up and its container stopped.
 7. IDLE or FAILED, and somebody waits: the model whose turn it is is loaded. What may still run
    from a stop that failed is stopped first; if the role closes, so is what sleeps.

What the effects report back leads on from there:

 8. Started: READY.
 9. Start failed: who waits for that model is refused with the cause, and so is who asks for it
    within a time that grows with each failure; its container is stopped.
10. Stopped: the model whose turn it is is loaded; if nobody waits, the former resident is restored
    if a swap to another failed, else the role rests.
11. Stop failed: the holder stays where it is, and who waits for another model is refused.
12. The resident died by itself: it is restarted once; if it dies again soon, the role has failed,
    and who asks for it is refused for a while.

So at most one container of a role is ever started, and models are served in the order in which
they were first asked for, all waiters of a model together; somebody interactive is let in first,
but nobody is passed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from anvil_ctl.multiplexer import roster, turn
from anvil_ctl.multiplexer.admission import Admission, Holders
from anvil_ctl.multiplexer.estimate import START, STOP, Measured, Place, place
from anvil_ctl.multiplexer.model import Model, Refusal, UnknownModelError, busy, unavailable
from anvil_ctl.multiplexer.role import Bounds, Counters, Role, State, Waiter, Why
from anvil_ctl.multiplexer.setback import failed_again, refusal_of
from anvil_ctl.multiplexer.turn import Pace


class Effects(Holders, Protocol):
    """What the scheduler has done for it. Nothing here may call the scheduler before returning."""

    def forbids(self, model: Model, leaving: Model | None) -> Refusal | None:
        """Why the machine has no room for the model once `leaving` is gone; None if it has."""

    def start(self, model: Model) -> None:
        """Make the model ready, whatever its container does now; `started` or `start_failed`."""

    def stop(self, model: Model, *, park: bool) -> None:
        """Give up any start of it and free what it holds; `stopped` or `stop_failed`.

        With `park` it may be left asleep, if its engine does that; else it must have exited.
        """


class Scheduler:
    """The roles, the waiters and the leases. Times are in seconds on one monotonic clock."""

    def __init__(
        self,
        models: Iterable[Model],
        effects: Effects,
        bounds: Bounds | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.pace = pace or Pace()
        self.counters = Counters()
        self.roles: dict[str, Role] = {}
        self.models: dict[str, Model] = {}
        self.measured: dict[str, Measured] = {}
        self._effects = effects
        self._admission = Admission(effects, self.counters)
        self.replace(list(models), 0.0)

    # events

    def ask(self, ticket: int, name: str, now: float, *, interactive: bool = False) -> None:
        """Somebody wants a model. `ticket` is theirs until `leave`. Raises UnknownModelError."""
        if name not in self.models:
            raise UnknownModelError(name, list(self.models))
        role = self.roles[self.models[name].role]
        setback = refusal_of(role, name, now)
        if role.closing:
            self._admission.refuse(ticket, unavailable(f"model {name} is being stopped"))
        elif role.state is State.READY and role.holder == name:
            self._admission.lease(role, ticket, name)
        elif setback is not None:
            self._admission.refuse(ticket, setback)
        elif len(role.waiters) >= self.bounds.max_waiting:
            text = f"{len(role.waiters)} requests already wait for models of role {role.name}"
            self._admission.refuse(ticket, busy(text, 5))
        else:
            self._admission.queue(role, Waiter(ticket, name, now, interactive))
            self._decide(role, now)

    def leave(self, ticket: int, now: float) -> None:
        """A waiter or the holder of a lease is gone. Leaving twice does nothing."""
        role = self._admission.drop(ticket, now)
        if role is not None:
            self._decide(role, now)

    def started(self, name: str, now: float, how: str = START) -> None:
        """8. A model that was being loaded answers; `how` it was brought in."""
        role = self._role_in(State.LOADING, name)
        if role is None:
            return
        if role.why is not Why.ADOPTED:
            self.measured[name].loaded(now - role.since, how)
        role.cut_short = role.swap is not None and role.swap.jumped
        if role.swap is not None:
            role.swap.load_s, role.swap.entered = now - role.since, how
            self.counters.swaps += role.swap.source is not None
            role.finish("ok")
        role.become(State.READY, now)
        role.ready_since = role.idle_since = now
        role.previous = None
        role.broken.pop(name, None)
        role.parked.pop(name, None)
        self._decide(role, now)

    def start_failed(self, name: str, cause: str, now: float) -> None:
        """9. A model didn't come up."""
        role = self._role_in(State.LOADING, name)
        if role is None:
            return
        self.counters.load_failures += 1
        role.last_error = cause
        role.broken[name] = failed_again(role, name, cause, self.bounds, now)
        role.parked.pop(name, None)
        role.finish(f"failed: {cause}")
        mine = [waiter for waiter in role.waiters if waiter.model == name]
        self._admission.turn_away(role, mine, unavailable(cause))
        self._stop(role, Why.START_FAILED, now)

    def stopped(self, name: str, now: float, how: str = STOP) -> None:
        """10. A model has gone, and that was verified: exited, or asleep if `how` says so."""
        role = self._role_in(State.STOPPING, name)
        if role is None:
            return
        if role.why is Why.ASKED:
            self.measured[name].stopped(now - role.since, how)
        if role.swap is not None:
            role.swap.stop_s, role.swap.left = now - role.since, how
        role.holder = None
        role.parked.pop(name, None)
        if how != STOP:
            role.parked[name] = None
        self._go_on(role, name, now)
        self._decide(role, now)

    def stop_failed(self, name: str, cause: str, now: float) -> None:
        """11. A container may still run."""
        role = self._role_in(State.STOPPING, name)
        if role is None:
            return
        role.last_error = cause
        role.closing = False
        role.finish(f"failed: {cause}")
        if role.why is Why.ASKED:
            self._admission.turn_away(role, role.others(), unavailable(cause))
            role.become(State.READY, now)
            self._decide(role, now)
            return
        role.previous = None
        self._admission.turn_away(role, role.waiters, unavailable(cause))
        role.become(State.FAILED, now)

    def died(self, name: str, cause: str, now: float) -> None:
        """12. A resident's container exited without being told to, or one that slept has exited."""
        if name in self.models:
            self.roles[self.models[name].role].parked.pop(name, None)
        role = self._role_in(State.READY, name) or self._role_in(State.DRAINING, name)
        if role is None:
            return
        role.last_error = cause
        self._admission.sever(role)
        if role.state is State.READY:
            last = role.restarted_at
            if last is not None and now - last < self.bounds.restart_window_s:
                role.holder = None
                role.broken[name] = failed_again(role, name, cause, self.bounds, now)
                self._rest(role, State.FAILED, now)
            else:
                role.restarted_at = now
                self.counters.restarts += 1
                self._load(role, name, Why.RESTARTED, now)
        self._decide(role, now)

    def adopt(self, name: str, now: float) -> None:
        """A container of an idle role was found running: make it the resident."""
        role = self.roles[self.models[name].role]
        if role.state is State.IDLE:
            self._load(role, name, Why.ADOPTED, now)

    def close(self, now: float) -> None:
        """Stop every resident, after its drain; until then, nobody gets anything."""
        for role in self.roles.values():
            gone = unavailable("the models are being stopped")
            self._admission.turn_away(role, role.waiters, gone)
            role.closing = role.holder is not None or bool(role.parked)
            self._decide(role, now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        for role in self.roles.values():
            self._decide(role, now)

    def replace(self, models: Sequence[Model], now: float) -> frozenset[str]:
        """Take other models; returns the roles that go on as they are.

        A role goes on if its holder is still among the models, unchanged in container and role.
        """
        gone = unavailable("the models were replaced")
        kept = roster.goes_on(self.roles, self.models, models)
        grouped = roster.by_role(models)
        for role in self.roles.values():
            stays = grouped.get(role.name, {}) if role.name in kept else {}
            leaving = [waiter for waiter in role.waiters if waiter.model not in stays]
            self._admission.turn_away(role, leaving, gone)
            role.keep(stays)
            if role.name not in kept:
                self._admission.sever(role)
        old, self.models = self.measured, {model.name: model for model in models}
        self.measured = {m.name: old.get(m.name) or Measured(m.load_estimate_s) for m in models}
        self.roles = {
            name: self.roles[name] if name in kept else Role(name, members, since=now)
            for name, members in grouped.items()
        }
        self.tick(now)
        return kept

    # questions

    def next_tick(self) -> float | None:
        """When `tick` is due at the latest; None if nothing depends on time."""
        return roster.next_look(self.roles.values(), self.bounds)

    def place(self, ticket: int, now: float) -> Place | None:
        """Where a waiter stands; None if it doesn't wait."""
        role = self._admission.role_of(ticket)
        return None if role is None else place(role, self.measured, ticket, now)

    # decisions

    def _decide(self, role: Role, now: float) -> None:
        while self._step(role, now):
            pass
        ready = role.state is State.READY
        role.due = turn.due(role, self.measured, self.pace) if ready else None

    def _step(self, role: Role, now: float) -> bool:
        """Take the first decision that applies; False if none does."""
        # 1
        if role.waiters and now >= role.waiters[0].since + self.bounds.max_wait_s:
            text = f"no turn within {self.bounds.max_wait_s:.0f} s"
            self._admission.turn_away(role, role.waiters[:1], busy(text, 30))
            return True
        match role.state:
            case State.READY:
                return self._admission.serve(role) or self._when_ready(role, now)  # 2
            case State.DRAINING:
                return self._when_draining(role, now)
            case State.LOADING:
                return self._when_loading(role, now)
            case State.IDLE | State.FAILED:
                return self._when_resting(role, now)
        return False

    def _when_ready(self, role: Role, now: float) -> bool:
        # 3
        due = turn.due(role, self.measured, self.pace)
        if role.holder is None or (not role.closing and (due is None or now < due)):
            return False
        holder = self.models[role.holder]
        first = None if role.closing else turn.chosen(role)
        if first is not None:
            if self._no_room(role, first.model, holder):
                return True
            self.counters.jumps += turn.take(role, first, now)
        role.drain_by = now + holder.drain_timeout_s
        self.counters.drain_waits += bool(role.leases)
        role.become(State.DRAINING, now)
        return True

    def _when_draining(self, role: Role, now: float) -> bool:
        # 4
        if not role.closing and not (role.swap and role.asked_for(role.swap.target)):
            role.swap = None
            role.become(State.READY, now)
            return True
        # 5
        if role.leases and now < role.drain_by:
            return False
        if role.swap is not None:
            role.swap.drain_s, role.swap.severed = now - role.since, len(role.leases)
        if role.holder is not None:
            self.measured[role.holder].drained(now - role.since)
        self._admission.sever(role)
        self._stop(role, Why.ASKED, now)
        return True

    def _when_loading(self, role: Role, now: float) -> bool:
        # 6
        unwanted = bool(role.waiters) and not role.asked_for(role.holder)
        if not role.closing and not unwanted:
            return False
        self.counters.given_up += 1
        role.finish("given up")
        self._stop(role, Why.GIVEN_UP, now)
        return True

    def _when_resting(self, role: Role, now: float) -> bool:
        # 7
        if role.closing and role.holder is None:
            role.holder = next(iter(role.parked), None)
            role.closing = role.holder is not None
        if role.holder is not None and (role.waiters or role.closing):
            self._stop(role, Why.START_FAILED, now)
            return True
        first = turn.chosen(role)
        if first is None:
            return False
        if not self._no_room(role, first.model, None):
            self.counters.jumps += turn.take(role, first, now)
            self._load(role, first.model, Why.ASKED, now)
        return True

    def _go_on(self, role: Role, name: str, now: float) -> None:
        """10. After a stop."""
        failed, previous = role.why is Why.START_FAILED, role.previous
        if role.closing:
            role.closing = bool(role.parked)
            self._rest(role, State.IDLE, now)
            return
        if role.why is Why.ASKED:
            role.previous = previous = name
        while (first := turn.chosen(role)) is not None:
            if not self._no_room(role, first.model, None):
                restores = failed and first.model == previous
                self.counters.rollbacks += restores
                self.counters.jumps += turn.take(role, first, now)
                self._load(role, first.model, Why.RESTORED if restores else Why.ASKED, now)
                return
            failed = True
            role.finish(f"refused: {role.last_error}")
        if failed and previous is not None and previous not in role.broken:
            self.counters.rollbacks += 1
            role.previous = None
            self._load(role, previous, Why.RESTORED, now)
        else:
            self._rest(role, State.FAILED if failed else State.IDLE, now)

    # steps

    def _no_room(self, role: Role, name: str, leaving: Model | None) -> bool:
        """Refuse all who wait for a model that the machine has no room for; whether that is so."""
        refusal = self._effects.forbids(self.models[name], leaving)
        if refusal is None:
            return False
        self.counters.oom_refusals += 1
        role.last_error = refusal.message
        mine = [waiter for waiter in role.waiters if waiter.model == name]
        self._admission.turn_away(role, mine, refusal)
        return True

    def _load(self, role: Role, name: str, why: Why, now: float) -> None:
        role.why, role.holder = why, name
        role.become(State.LOADING, now)
        self._effects.start(self.models[name])

    def _stop(self, role: Role, why: Why, now: float) -> None:
        role.why = why
        role.become(State.STOPPING, now)
        if role.holder is not None:
            park = why is Why.ASKED and not role.closing
            self._effects.stop(self.models[role.holder], park=park)

    def _rest(self, role: Role, state: State, now: float) -> None:
        role.finish("nobody waited any more")
        role.previous = None
        role.become(state, now)

    def _role_in(self, state: State, name: str) -> Role | None:
        """The role of a model, if that model holds it in that state; else the news is stale."""
        model = self.models.get(name)
        role = None if model is None else self.roles[model.role]
        return role if role is not None and role.state is state and role.holder == name else None
