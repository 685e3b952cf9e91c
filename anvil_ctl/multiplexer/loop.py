"""The one owner of the multiplexer's state: events come in here, effects go out from here.

Everything runs on one asyncio loop and each event is handled without awaiting, so there is
nothing to lock. What takes time is a task per role, whose outcome is an event again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable

from anvil_ctl.multiplexer.containers import ContainerError, Containers, NoSuchContainerError
from anvil_ctl.multiplexer.engines import EngineError, Engines, Ready
from anvil_ctl.multiplexer.estimate import Place
from anvil_ctl.multiplexer.host import available_mib
from anvil_ctl.multiplexer.model import Model, Refusal
from anvil_ctl.multiplexer.registry import Registry
from anvil_ctl.multiplexer.role import Bounds, Role, State
from anvil_ctl.multiplexer.scheduler import Scheduler
from anvil_ctl.multiplexer.space import Space, asleep_beside
from anvil_ctl.multiplexer.standing import Verdict
from anvil_ctl.multiplexer.ticket import Ticket
from anvil_ctl.multiplexer.turn import Pace
from anvil_ctl.multiplexer.watch import now_and_then, on_exits

log = logging.getLogger(__name__)


class Loop:
    """Leases for whoever asks, and the containers that go with them."""

    def __init__(
        self,
        registry: Registry,
        containers: Containers,
        engines: Engines,
        *,
        bounds: Bounds | None = None,
        pace: Pace | None = None,
        ram: Callable[[], int | None] = available_mib,
    ) -> None:
        self.registry = registry
        self._space = Space(ram)
        self._containers = containers
        self._engines = engines
        self._numbers = itertools.count(1)
        self._tickets: dict[int, Ticket] = {}
        self._runs: dict[str, str] = {}
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed: list[asyncio.Future[None]] = []
        self._seen: dict[str, tuple[State, str | None]] = {}
        self._severed = 0
        self.scheduler = Scheduler(registry.models, self, bounds, pace)

    # life

    async def open(self) -> None:
        """Adopt what runs already, and watch from here on."""
        self._adopt(await self._running(self.registry))
        self._watching |= {
            asyncio.create_task(on_exits(self._containers, self._exited)),
            asyncio.create_task(now_and_then(self._check_all)),
        }

    async def aclose(self) -> None:
        """Stop deciding. Containers are left as they are."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._watching, *self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # requests

    def ask(self, model: str, *, interactive: bool = False) -> Ticket:
        """Ask for a model; `leave` must follow, whatever happens. Raises UnknownModelError."""
        ticket = Ticket(next(self._numbers), model, self.now())
        self._tickets[ticket.number] = ticket
        try:
            self.scheduler.ask(ticket.number, model, ticket.asked_at, interactive=interactive)
        except BaseException:
            del self._tickets[ticket.number]
            raise
        self._after()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a lease back, or stop waiting for it."""
        if self._tickets.pop(ticket.number, None) is not None:
            self.scheduler.leave(ticket.number, self.now())
            self._after()

    def verdicts(self) -> dict[str, Verdict]:
        """What was found out of the models that can sleep, by name."""
        models = self.scheduler.models.values()
        found = ((model.name, self._engines.verdict(model)) for model in models)
        return {name: verdict for name, verdict in found if verdict is not None}

    def place(self, ticket: Ticket) -> Place | None:
        """Where a waiter stands; None once it doesn't wait."""
        return self.scheduler.place(ticket.number, self.now())

    def suspect(self, model: str) -> None:
        """A model's engine could not be reached: look at its container soon."""
        task = asyncio.create_task(self._check(model))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    # administration

    async def replace(self, registry: Registry) -> None:
        """Take another registry's models, and adopt those that run."""
        running = await self._running(registry)
        kept = self.scheduler.replace(registry.models, self.now())
        for role in [name for name in self._jobs if name not in kept]:
            self._jobs.pop(role).cancel()
        self.registry = registry
        self._adopt(running)
        self._after()

    async def stop_all(self) -> dict[str, str | None]:
        """Drain and stop every resident; what held a role, and the error that kept it running."""
        roles = [role for role in self.scheduler.roles.values() if role.holder is not None]
        held = [role.holder or "" for role in roles]
        self.scheduler.close(self.now())
        closed = asyncio.get_running_loop().create_future()
        self._closed.append(closed)
        self._after()
        await closed
        return {
            name: role.last_error if role.holder == name else None
            for name, role in zip(held, roles, strict=True)
        }

    def now(self) -> float:
        """Seconds on the clock that the scheduler's times are of."""
        return time.monotonic()

    # effects

    def grant(self, ticket: int) -> None:
        """Effects: the waiter has its lease."""
        self._tickets[ticket].settle(None)

    def refuse(self, ticket: int, refusal: Refusal) -> None:
        """Effects: the waiter gets none."""
        self._tickets[ticket].settle(refusal)

    def sever(self, ticket: int) -> None:
        """Effects: the lease has ended."""
        self._tickets[ticket].severed.set()

    def forbids(self, model: Model, leaving: Model | None) -> Refusal | None:
        """Effects: whether the machine has room."""
        return self._space.room(self.registry, self.scheduler, model, leaving).refusal

    def start(self, model: Model) -> None:
        """Effects: bring the model up."""
        self._do(model.role, lambda: self._bring_up(model))

    def stop(self, model: Model, *, park: bool) -> None:
        """Effects: take the model down, or have it sleep."""
        park = park and self._space.may_sleep(self.registry, self.scheduler, model)
        self._do(model.role, lambda: self._take_down(model, park=park))

    # what takes time

    def _do(self, role: str, work: Callable[[], Awaitable[None]]) -> None:
        former = self._jobs.get(role)

        async def in_turn() -> None:
            if former is not None and not former.done():
                former.cancel()
                await asyncio.wait([former])
            await work()

        # The former job may be the one that led here, and is then at its very end.
        if former is asyncio.current_task():
            former = None
        self._jobs[role] = asyncio.create_task(in_turn())

    async def _bring_up(self, model: Model) -> None:
        try:
            ready = await self._load(model)
        except (EngineError, ContainerError) as error:
            self.scheduler.start_failed(model.name, error.message, self.now())
        except Exception as error:
            # A bug must not leave everybody waiting for a load that nobody does.
            log.exception("bringing up %s", model.name)
            cause = f"internal error: {type(error).__name__}"
            self.scheduler.start_failed(model.name, cause, self.now())
        else:
            self._runs[model.name] = ready.run
            self.scheduler.started(model.name, self.now(), ready.how)
        self._after()

    async def _load(self, model: Model) -> Ready:
        """Make room and bring it up. If it only comes up once those that sleep have exited, they
        had not given up what they said."""
        await self._clear(model)
        found = self._space.room(self.registry, self.scheduler, model, None)
        if found.warning:
            log.warning("%s", found.warning)
        for name in found.to_stop:
            await self._end_sleep(self.scheduler.models[name])
        try:
            return await self._engines.ensure_ready(model)
        except EngineError as error:
            asleep = asleep_beside(self.scheduler, model)
            if not asleep:
                raise
            log.warning("%s; once more without what sleeps", error.message)
            for each in [*asleep, model]:
                await self._end_sleep(each)
            ready = await self._engines.ensure_ready(model)
            for each in asleep:
                self._engines.demote(each, f"{model.name} did not start beside it: {error.message}")
            return ready

    async def _end_sleep(self, model: Model) -> None:
        await self._engines.ensure_stopped(model)
        self.scheduler.died(model.name, "stopped to make room", self.now())

    async def _clear(self, model: Model) -> None:
        """Stop whatever else of the role runs: left by a crash, or started by someone else."""
        asleep = {each.name for each in asleep_beside(self.scheduler, model)}
        for other in self.registry.models:
            if other.role != model.role or other.name in {model.name, *asleep}:
                continue
            if await self._engines.runs(other):
                log.warning("%s runs without being resident; stopping it", other.container)
                await self._engines.ensure_stopped(other)

    async def _take_down(self, model: Model, *, park: bool) -> None:
        try:
            how = await self._engines.ensure_gone(model, park=park)
        except EngineError as error:
            self.scheduler.stop_failed(model.name, error.message, self.now())
        except Exception as error:
            # As above: a swap must not hang on a bug.
            log.exception("taking down %s", model.name)
            cause = f"internal error: {type(error).__name__}"
            self.scheduler.stop_failed(model.name, cause, self.now())
        else:
            self.scheduler.stopped(model.name, self.now(), how)
        self._after()

    # what runs already

    async def _running(self, registry: Registry) -> list[Model]:
        """The models whose containers run and are of this definition; others are stopped.

        Those that sleep come last, so that one that was serving is adopted.
        """
        looked = await asyncio.gather(*(self._looked_at(model) for model in registry.models))
        running = [model for model, runs in zip(registry.models, looked, strict=True) if runs]
        asleep = await asyncio.gather(*(self._engines.sleeps(model) for model in running))
        pairs = zip(asleep, running, strict=True)
        return [model for _asleep, model in sorted(pairs, key=lambda pair: pair[0])]

    async def _looked_at(self, model: Model) -> bool:
        try:
            state = await self._engines.state(model)
            self._space.limits[model.container] = state.memory_limit_mib if state else None
            if state is None or not state.running:
                return False
            if model.config_hash and state.config_hash not in ("", model.config_hash):
                log.warning("%s is of another definition; stopping it", model.container)
                await self._engines.ensure_stopped(model)
                return False
        except (ContainerError, EngineError) as error:
            log.warning("can't tell whether %s runs: %s", model.name, error.message)
            return False
        return True

    def _adopt(self, running: list[Model]) -> None:
        """Make what runs the resident; of several in a role the first, whose load stops others."""
        for model in running:
            if self.scheduler.roles[model.role].state is State.IDLE:
                log.info("adopting %s, which runs already", model.name)
                self.scheduler.adopt(model.name, self.now())
        self._after()

    # watching

    async def _exited(self, container: str) -> None:
        for model in self.registry.models:
            if model.container == container:
                await self._check(model.name)

    async def _check_all(self) -> None:
        for role in list(self.scheduler.roles.values()):
            for name in [role.resident, *role.parked]:
                if name is not None:
                    await self._check(name)

    async def _check(self, name: str) -> None:
        """Tell the scheduler if a container isn't the run that became resident, or fell asleep."""
        model, run = self.scheduler.models.get(name), self._runs.get(name)
        role = self.scheduler.roles[model.role] if model is not None else None
        if model is None or role is None or (role.resident != name and name not in role.parked):
            return
        try:
            state = await self._containers.state(model.container)
        except NoSuchContainerError:
            cause = f"{model.container} is gone"
        except ContainerError:
            return
        else:
            if state.running and state.run == run:
                return
            cause = f"{model.container} " + (
                "was restarted by someone else" if state.running else state.described()
            )
        if self._runs.get(name) == run:
            log.warning("%s died: %s", name, cause)
            self.scheduler.died(name, cause, self.now())
            self._after()

    # after each event

    def _after(self) -> None:
        now = self.now()
        if self._timer is not None:
            self._timer.cancel()
        due = self.scheduler.next_tick()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(due - now, 0.001), self._tick)
        if not any(role.closing for role in self.scheduler.roles.values()):
            closed, self._closed = self._closed, []
            for future in closed:
                if not future.done():
                    future.set_result(None)
        self._report()

    def _tick(self) -> None:
        self.scheduler.tick(self.now())
        self._after()

    def _report(self) -> None:
        """Log each change once, after it was decided."""
        severed = self.scheduler.counters.severed - self._severed
        if severed:
            self._severed += severed
            log.warning("%d leases severed", severed)
        for role in self.scheduler.roles.values():
            now, was = (role.state, role.holder), self._seen.get(role.name)
            if now != was:
                self._seen[role.name] = now
                log.info("role %s: %s %s", role.name, role.state, role.holder or "-")
                _log_failure(role)


def _log_failure(role: Role) -> None:
    if role.state is State.FAILED:
        log.error("role %s has no model: %s", role.name, role.last_error)
