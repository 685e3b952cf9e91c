"""Bringing an engine up and taking it down, and being sure of both."""

from __future__ import annotations

import asyncio

from anvil_ctl.errors import AnvilError
from anvil_ctl.multiplexer.containers import ContainerError, Containers, NoSuchContainerError
from anvil_ctl.multiplexer.model import Model
from anvil_ctl.multiplexer.probe import Probe, WrongModelError

# Close together at first, for what is quick; then further apart, for what takes minutes.
_POLL_S = 0.02
_POLL_GROWS = 1.1
_POLL_MOST_S = 0.5
_AFTER_KILL_S = 10.0


class EngineError(AnvilError):
    """An engine did not come up, or did not go down."""


class Engines:
    """Starting and stopping, whatever the container does at the moment."""

    def __init__(self, containers: Containers, probe: Probe, *, poll_s: float = _POLL_S) -> None:
        self._containers = containers
        self._probe = probe
        self._poll_s = poll_s

    async def ensure_ready(self, model: Model) -> str:
        """Have the model served; returns the run of its container. Raises EngineError.

        Fails as soon as the container exits or serves another model, not only after the timeout.
        """
        try:
            async with asyncio.timeout(model.start_timeout_s):
                return await self._bring_up(model)
        except TimeoutError as error:
            raise EngineError(
                f"{model.name} was not ready within {model.start_timeout_s:.0f} s"
            ) from error
        except (ContainerError, WrongModelError) as error:
            raise EngineError(error.message) from error

    async def ensure_stopped(self, model: Model) -> None:
        """Have the model's container exit, and see that it has. Raises EngineError."""
        name, trouble = model.container, ""
        try:
            await self._containers.stop(name, model.stop_timeout_s)
        except NoSuchContainerError:
            return
        except ContainerError as error:
            trouble = f" ({error.message})"
        try:
            if await self._runs(name):
                await self._containers.kill(name)
                async with asyncio.timeout(_AFTER_KILL_S):
                    await self._exited(name)
        except (ContainerError, TimeoutError) as error:
            raise EngineError(f"{name} is not proven to have stopped{trouble}") from error

    async def runs(self, model: Model) -> bool:
        """Whether the model's container runs. Raises ContainerError."""
        return await self._runs(model.container)

    async def _bring_up(self, model: Model) -> str:
        name = model.container
        state = await self._containers.state(name)
        if not state.running:
            await self._containers.start(name)
        pause = self._poll_s
        while True:
            ready = await self._probe.ready(model)
            state = await self._containers.state(name)
            if not state.running:
                raise EngineError(f"{name} {state.described()} while it loaded {model.name}")
            if ready:
                return state.run
            await asyncio.sleep(pause)
            pause = min(pause * _POLL_GROWS, _POLL_MOST_S)

    async def _exited(self, name: str) -> None:
        while True:
            if not await self._runs(name):
                return
            await asyncio.sleep(self._poll_s)

    async def _runs(self, name: str) -> bool:
        try:
            return (await self._containers.state(name)).running
        except NoSuchContainerError:
            return False
