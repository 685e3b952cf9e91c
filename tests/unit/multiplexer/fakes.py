"""A container engine and engines' readiness, in memory, that can be told to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from anvil_ctl.multiplexer.containers import (
    ContainerError,
    ContainerState,
    NoSuchContainerError,
)
from anvil_ctl.multiplexer.model import Model
from anvil_ctl.multiplexer.probe import WrongModelError
from anvil_ctl.multiplexer.registry import Registry


def row(name: str, role: str = "cpu", url: str = "") -> Model:
    return Model(
        name=name,
        tier=f"tier-{name}",
        role=role,
        container=f"box-{name}",
        url=url or f"http://{name}.invalid:8080",
        start_timeout_s=20.0,
        stop_timeout_s=1.0,
        drain_timeout_s=20.0,
        load_estimate_s=3.0,
    )


def registry(*rows: Model, mode: str = "flexibility") -> Registry:
    return Registry(mode, rows, "digest-of-" + "-".join(each.name for each in rows))


@dataclass
class Box:
    state: ContainerState = field(default_factory=lambda: ContainerState(running=False))
    starts: int = 0
    exits_while_loading: int | None = None
    survives_stop: bool = False
    survives_kill: bool = False


class FakeContainers:
    """Implements Containers. `acts` is what was done, `most` the most that ever ran at once."""

    def __init__(self, *names: str) -> None:
        self.boxes = {name: Box() for name in names}
        self.acts: list[str] = []
        self.most = 0
        self.down = False
        self.on_stop: Callable[[str], None] = lambda _name: None
        # What a start comes to (an exit code, or None), and what an end does, by name.
        self.on_start: dict[str, Callable[[], int | None]] = {}
        self.on_end: dict[str, Callable[[], None]] = {}
        self._events: asyncio.Queue[str] = asyncio.Queue()

    def running(self) -> set[str]:
        return {name for name, box in self.boxes.items() if box.state.running}

    async def state(self, name: str) -> ContainerState:
        return self._box(name).state

    async def start(self, name: str) -> None:
        box = self._box(name)
        if box.state.running:
            return
        self.acts.append(f"start {name}")
        box.starts += 1
        code = box.exits_while_loading
        if name in self.on_start:
            code = self.on_start[name]()
        box.state = ContainerState(
            running=code is None, exit_code=code or 0, run=f"{name}-{box.starts}"
        )
        self.most = max(self.most, len(self.running()))

    async def stop(self, name: str, grace_s: float) -> None:
        box = self._box(name)
        self.acts.append(f"stop {name}")
        if not box.survives_stop:
            self._end(name, 0)
        self.on_stop(name)

    async def kill(self, name: str) -> None:
        self.acts.append(f"kill {name}")
        if not self._box(name).survives_kill:
            self._end(name, 137)

    async def exits(self) -> AsyncIterator[str]:
        while True:
            yield await self._events.get()

    async def close(self) -> None:
        self.acts.append("close")

    def crash(self, name: str, code: int = 139) -> None:
        """The container ends by itself, and the daemon says so."""
        self._end(name, code)

    def _end(self, name: str, code: int) -> None:
        box = self.boxes[name]
        if box.state.running:
            box.state = replace(box.state, running=False, exit_code=code)
            self._events.put_nowait(name)
            self.on_end.get(name, lambda: None)()

    def _box(self, name: str) -> Box:
        if self.down:
            raise ContainerError("the guard does not answer")
        if name not in self.boxes:
            raise NoSuchContainerError(f"{name}: there is no such container")
        return self.boxes[name]


class FakeProbe:
    """Implements Probe: a model whose container runs is ready, unless it is held back."""

    def __init__(self, containers: FakeContainers) -> None:
        self._containers = containers
        self.loading: set[str] = set()
        self.wrong: set[str] = set()
        self.asked = asyncio.Event()

    async def ready(self, model: Model) -> bool:
        self.asked.set()
        if model.name in self.wrong:
            raise WrongModelError(f"{model.url} serves something else, not {model.name}")
        runs = model.container in self._containers.running()
        return runs and model.name not in self.loading

    async def close(self) -> None:
        self.loading.clear()
