"""Who gets which model, and when one makes room for another. No clock, no I/O: time is passed in.

After every event these decisions are taken for the role it touched, until none applies:

 1. Whoever has waited past the bound is refused.
 2. READY: whoever waits for the resident gets a lease.
 3. READY, and somebody waits for another model (or the role closes): the resident drains. From
    here on nobody gets it, so that the one who waits isn't starved.
 4. DRAINING, and nobody waits for another model any more: the resident serves on.
 5. DRAINING, and no lease is left or the time is up: what is left is severed, the resident stops.
 6. LOADING, and the role closes: the load is given up and its container stopped.
 7. IDLE or FAILED, and somebody waits: the model of whoever has waited longest is loaded. If a
    container may still run from a stop that failed, that one is stopped first.

What the effects report back leads on from there:

 8. Started: READY.
 9. Start failed: who waits for that model is refused with the cause; its container is stopped.
10. Stopped: the former resident is restored if a swap to another failed; else the model of whoever
    has waited longest is loaded; else the role rests.
11. Stop failed: the holder stays where it is, and who waits for another model is refused.
12. The resident died by itself: it is restarted once; if it dies again soon, the role has failed.

So at most one container of a role is ever started, and waiters are served in the order in which
their models were first asked for, all waiters of a model together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from anvil_ctl.multiplexer.estimate import Measured, Place, place
from anvil_ctl.multiplexer.model import Model, Refusal, UnknownModelError, busy, unavailable
from anvil_ctl.multiplexer.role import Bounds, Counters, Role, State, Swap, Waiter, Why


class Effects(Protocol):
    """What the scheduler has done for it. Nothing here may call the scheduler before returning."""

    def grant(self, ticket: int) -> None:
        """A lease: the waiter may use its model from now on."""

    def refuse(self, ticket: int, refusal: Refusal) -> None:
        """The waiter gets no lease."""

    def sever(self, ticket: int) -> None:
        """A lease ends although its holder still uses it."""

    def start(self, model: Model) -> None:
        """Make the model ready, whatever its container does now; `started` or `start_failed`."""

    def stop(self, model: Model) -> None:
        """Give up any start of it and make sure it has exited; `stopped` or `stop_failed`."""


class Scheduler:
    """The roles, the waiters and the leases. Times are in seconds on one monotonic clock."""

    def __init__(
        self, models: Iterable[Model], effects: Effects, bounds: Bounds | None = None
    ) -> None:
        self.bounds = bounds or Bounds()
        self.counters = Counters()
        self.roles: dict[str, Role] = {}
        self.models: dict[str, Model] = {}
        self.measured: dict[str, Measured] = {}
        self._effects = effects
        self._role_of: dict[int, Role] = {}
        self.replace(list(models), 0.0)

    # events

    def ask(self, ticket: int, name: str, now: float) -> None:
        """Somebody wants a model. `ticket` is theirs until `leave`. Raises UnknownModelError."""
        if name not in self.models:
            raise UnknownModelError(name, list(self.models))
        role = self.roles[self.models[name].role]
        if role.closing:
            self._refuse(ticket, unavailable(f"model {name} is being stopped"))
        elif role.state is State.READY and role.holder == name:
            self._lease(role, ticket, name)
        elif len(role.waiters) >= self.bounds.max_waiting:
            text = f"{len(role.waiters)} requests already wait for models of role {role.name}"
            self._refuse(ticket, busy(text, 5))
        else:
            role.waiters.append(Waiter(ticket, name, now))
            self._role_of[ticket] = role
            self._decide(role, now)

    def leave(self, ticket: int, now: float) -> None:
        """A waiter or the holder of a lease is gone. Leaving twice does nothing."""
        role = self._role_of.pop(ticket, None)
        if role is None:
            return
        if role.leases.pop(ticket, None) is None:
            role.waiters = [waiter for waiter in role.waiters if waiter.ticket != ticket]
        self._decide(role, now)

    def started(self, name: str, now: float) -> None:
        """8. A model that was being loaded answers."""
        role = self._role_in(State.LOADING, name)
        if role is None:
            return
        if role.why is not Why.ADOPTED:
            self.measured[name].loaded(now - role.since)
        if role.swap is not None:
            role.swap.load_s = now - role.since
            self.counters.swaps += role.swap.source is not None
            _finish(role, "ok")
        role.become(State.READY, now)
        role.ready_since = now
        role.previous = None
        self._decide(role, now)

    def start_failed(self, name: str, cause: str, now: float) -> None:
        """9. A model didn't come up."""
        role = self._role_in(State.LOADING, name)
        if role is None:
            return
        self.counters.load_failures += 1
        role.last_error = cause
        _finish(role, f"failed: {cause}")
        self._turn_away(role, [w for w in role.waiters if w.model == name], unavailable(cause))
        self._stop(role, Why.START_FAILED, now)

    def stopped(self, name: str, now: float) -> None:
        """10. A container has exited, and that was verified."""
        role = self._role_in(State.STOPPING, name)
        if role is None:
            return
        self.measured[name].stopped(now - role.since)
        if role.swap is not None:
            role.swap.stop_s = now - role.since
        role.holder = None
        failed, previous = role.why is Why.START_FAILED, role.previous
        wanted = role.wanted()
        if role.closing:
            role.closing = False
            self._rest(role, State.IDLE, now)
        elif failed and previous is not None:
            self.counters.rollbacks += 1
            role.previous = None
            self._load(role, previous, Why.RESTORED, now)
        elif wanted is not None:
            role.previous = name if not failed and wanted != name else None
            self._load(role, wanted, Why.ASKED, now)
        else:
            self._rest(role, State.FAILED if failed else State.IDLE, now)

    def stop_failed(self, name: str, cause: str, now: float) -> None:
        """11. A container may still run."""
        role = self._role_in(State.STOPPING, name)
        if role is None:
            return
        role.last_error = cause
        role.closing = False
        _finish(role, f"failed: {cause}")
        if role.why is Why.START_FAILED:
            role.previous = None
            self._turn_away(role, role.waiters, unavailable(cause))
            role.become(State.FAILED, now)
            return
        self._turn_away(role, [w for w in role.waiters if w.model != name], unavailable(cause))
        role.become(State.READY, now)
        self._decide(role, now)

    def died(self, name: str, cause: str, now: float) -> None:
        """12. The resident exited without being told to."""
        role = self._role_in(State.READY, name) or self._role_in(State.DRAINING, name)
        if role is None:
            return
        role.last_error = cause
        self._sever(role)
        if role.state is State.READY:
            last = role.restarted_at
            if last is not None and now - last < self.bounds.restart_window_s:
                role.holder = None
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
            self._turn_away(role, role.waiters, unavailable("the models are being stopped"))
            role.closing = role.holder is not None
            self._decide(role, now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        for role in self.roles.values():
            self._decide(role, now)

    def replace(self, models: Sequence[Model], now: float) -> frozenset[str]:
        """Take other models; returns the roles that go on as they are.

        A role goes on if its holder is still among the models, unchanged in container and role.
        """
        rows = {model.name: model for model in models}
        grouped: dict[str, dict[str, Model]] = {}
        for model in models:
            grouped.setdefault(model.role, {})[model.name] = model
        kept = frozenset(
            role.name
            for role in self.roles.values()
            if role.holder is not None and _same(self.models[role.holder], rows.get(role.holder))
        )
        gone = unavailable("the models were replaced")
        for role in self.roles.values():
            stays = grouped.get(role.name, {}) if role.name in kept else {}
            self._turn_away(role, [w for w in role.waiters if w.model not in stays], gone)
            role.models = stays
            role.previous = role.previous if role.previous in stays else None
            if role.name not in kept:
                self._sever(role)
        old, self.models = self.measured, rows
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
        due = [role.drain_by for role in self.roles.values() if role.state is State.DRAINING]
        due += [
            role.waiters[0].since + self.bounds.max_wait_s
            for role in self.roles.values()
            if role.waiters
        ]
        return min(due, default=None)

    def place(self, ticket: int, now: float) -> Place | None:
        """Where a waiter stands; None if it doesn't wait."""
        role = self._role_of.get(ticket)
        return None if role is None else place(role, self.measured, ticket, now)

    # decisions

    def _decide(self, role: Role, now: float) -> None:
        while self._step(role, now):
            pass

    def _step(self, role: Role, now: float) -> bool:
        """Take the first decision that applies; False if none does."""
        # 1
        if role.waiters and now >= role.waiters[0].since + self.bounds.max_wait_s:
            text = f"no turn within {self.bounds.max_wait_s:.0f} s"
            self._turn_away(role, role.waiters[:1], busy(text, 30))
            return True
        match role.state:
            case State.READY:
                return self._when_ready(role, now)
            case State.DRAINING:
                return self._when_draining(role, now)
            case State.LOADING if role.closing:  # 6
                self._stop(role, Why.START_FAILED, now)
                return True
            case State.IDLE | State.FAILED:
                return self._when_resting(role, now)
        return False

    def _when_ready(self, role: Role, now: float) -> bool:
        # 2
        mine = [waiter for waiter in role.waiters if waiter.model == role.holder]
        if mine:
            role.waiters = [waiter for waiter in role.waiters if waiter.model != role.holder]
            for waiter in mine:
                self._lease(role, waiter.ticket, waiter.model)
            return True
        # 3
        other = role.wanted_instead()
        if role.holder is None or (other is None and not role.closing):
            return False
        if other is not None:
            role.swap = Swap(role.holder, other, now)
        role.drain_by = now + self.models[role.holder].drain_timeout_s
        self.counters.drain_waits += bool(role.leases)
        role.become(State.DRAINING, now)
        return True

    def _when_draining(self, role: Role, now: float) -> bool:
        # 4
        if role.wanted_instead() is None and not role.closing:
            role.swap = None
            role.become(State.READY, now)
            return True
        # 5
        if role.leases and now < role.drain_by:
            return False
        severed = len(role.leases)
        if role.swap is not None:
            role.swap.drain_s, role.swap.severed = now - role.since, severed
        if role.holder is not None:
            self.measured[role.holder].drained(now - role.since)
        self._sever(role)
        self._stop(role, Why.ASKED, now)
        return True

    def _when_resting(self, role: Role, now: float) -> bool:
        # 7
        wanted = role.wanted()
        if role.holder is not None and (wanted is not None or role.closing):
            self._stop(role, Why.START_FAILED, now)
            return True
        if wanted is None:
            return False
        self._load(role, wanted, Why.ASKED, now)
        return True

    # steps

    def _lease(self, role: Role, ticket: int, name: str) -> None:
        role.leases[ticket] = name
        self._role_of[ticket] = role
        self._effects.grant(ticket)

    def _load(self, role: Role, name: str, why: Why, now: float) -> None:
        role.why, role.holder = why, name
        if why is Why.ASKED and role.swap is None:
            role.swap = Swap(None, name, now)
        if role.swap is not None:
            role.swap.target = name
        role.become(State.LOADING, now)
        self._effects.start(self.models[name])

    def _stop(self, role: Role, why: Why, now: float) -> None:
        role.why = why
        role.become(State.STOPPING, now)
        if role.holder is not None:
            self._effects.stop(self.models[role.holder])

    def _rest(self, role: Role, state: State, now: float) -> None:
        _finish(role, "nobody waited any more")
        role.previous = None
        role.become(state, now)

    def _sever(self, role: Role) -> None:
        tickets, role.leases = list(role.leases), {}
        self.counters.severed += len(tickets)
        for ticket in tickets:
            self._role_of.pop(ticket, None)
            self._effects.sever(ticket)

    def _turn_away(self, role: Role, waiters: list[Waiter], refusal: Refusal) -> None:
        role.waiters = [waiter for waiter in role.waiters if waiter not in waiters]
        for waiter in waiters:
            self._role_of.pop(waiter.ticket, None)
            self._refuse(waiter.ticket, refusal)

    def _refuse(self, ticket: int, refusal: Refusal) -> None:
        self.counters.refusals += 1
        self._effects.refuse(ticket, refusal)

    def _role_in(self, state: State, name: str) -> Role | None:
        """The role of a model, if that model holds it in that state; else the news is stale."""
        model = self.models.get(name)
        role = None if model is None else self.roles[model.role]
        return role if role is not None and role.state is state and role.holder == name else None


def _finish(role: Role, result: str) -> None:
    if role.swap is not None:
        role.swap.result = result
        role.last_swap, role.swap = role.swap, None


def _same(old: Model, new: Model | None) -> bool:
    return new is not None and (old.container, old.role) == (new.container, new.role)
