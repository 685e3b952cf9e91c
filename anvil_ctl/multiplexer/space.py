"""What the machine has, put together for the decisions on room."""

from __future__ import annotations

from collections.abc import Callable

from anvil_ctl.multiplexer.model import Model
from anvil_ctl.multiplexer.registry import Registry
from anvil_ctl.multiplexer.room import Host, Room, may_sleep, room
from anvil_ctl.multiplexer.scheduler import Scheduler


class Space:
    """`ram` tells the host's available RAM in MiB; `limits` has that of each container."""

    def __init__(self, ram: Callable[[], int | None]) -> None:
        self._ram = ram
        self.limits: dict[str, int | None] = {}

    def room(
        self, registry: Registry, scheduler: Scheduler, model: Model, leaving: Model | None
    ) -> Room:
        """Whether a model can be brought in once `leaving` is gone, and what has to go first."""
        parked = scheduler.roles[model.role].parked
        asleep = [scheduler.models[name] for name in parked]
        return room(model, leaving, asleep, self._host(registry, model))

    def may_sleep(self, registry: Registry, scheduler: Scheduler, model: Model) -> bool:
        """Whether a resident may sleep beside the model that it makes way for."""
        swap = scheduler.roles[model.role].swap
        following = scheduler.models.get(swap.target) if swap is not None else None
        asleep = asleep_beside(scheduler, model)
        return may_sleep(model, following, asleep, self._host(registry, model))

    def _host(self, registry: Registry, model: Model) -> Host:
        return Host(self._ram(), self.limits.get(model.container), registry.cards.get(model.role))


def asleep_beside(scheduler: Scheduler, model: Model) -> list[Model]:
    """What sleeps in a model's role, but for itself."""
    parked = scheduler.roles[model.role].parked
    return [scheduler.models[name] for name in parked if name != model.name]
