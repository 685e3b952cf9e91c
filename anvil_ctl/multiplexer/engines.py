"""Bringing an engine up and taking it down, and being sure of both."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from anvil_ctl.errors import AnvilError
from anvil_ctl.multiplexer.containers import (
    ContainerError,
    Containers,
    ContainerState,
    NoSuchContainerError,
)
from anvil_ctl.multiplexer.estimate import START, STOP
from anvil_ctl.multiplexer.model import Model
from anvil_ctl.multiplexer.parking import Parking, ParkingError
from anvil_ctl.multiplexer.probe import Probe, WrongModelError
from anvil_ctl.multiplexer.standing import Verdict

log = logging.getLogger(__name__)

# Close together at first, for what is quick; then further apart, for what takes minutes.
_POLL_S = 0.02
_POLL_GROWS = 1.1
_POLL_MOST_S = 0.5
_AFTER_KILL_S = 10.0


class EngineError(AnvilError):
    """An engine did not come up, or did not go down."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A model that answers: the run of its container, and how it was brought in."""

    run: str
    how: str


class Engines:
    """Starting and stopping, whatever the container does at the moment."""

    def __init__(
        self,
        containers: Containers,
        probe: Probe,
        parking: Parking | None = None,
        *,
        poll_s: float = _POLL_S,
    ) -> None:
        self._containers = containers
        self._probe = probe
        self._parking = parking
        self._poll_s = poll_s

    async def ensure_ready(self, model: Model) -> Ready:
        """Have the model served, woken or started. Raises EngineError.

        Fails as soon as the container exits or serves another model, not only after the timeout.
        """
        try:
            async with asyncio.timeout(model.start_timeout_s):
                how = await self._wake(model)
                run = await self._bring_up(model)
        except TimeoutError as error:
            raise EngineError(
                f"{model.name} was not ready within {model.start_timeout_s:.0f} s"
            ) from error
        except (ContainerError, WrongModelError, ParkingError) as error:
            raise EngineError(error.message) from error
        return Ready(run, how)

    async def ensure_gone(self, model: Model, *, park: bool) -> str:
        """Have the model leave the card: asleep if `park` and it can, else exited. How it went."""
        if park and self._parking is not None and self._parking.applies(model):
            try:
                state = await self._containers.state(model.container)
                return await self._parking.leave(model, state.run)
            except (ParkingError, ContainerError) as error:
                log.info("%s is stopped instead: %s", model.name, error.message)
        await self.ensure_stopped(model)
        return STOP

    async def ensure_stopped(self, model: Model) -> None:
        """Have the model's container exit, and see that it has. Raises EngineError."""
        name, trouble = model.container, ""
        if self._parking is not None:
            self._parking.standing.awake(model)
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

    def demote(self, model: Model, reason: str) -> None:
        """Don't park it any more."""
        if self._parking is not None:
            self._parking.standing.demote(model, reason)

    def verdict(self, model: Model) -> Verdict | None:
        """What was found out of its parking; None while it has not been tried."""
        return None if self._parking is None else self._parking.standing.of(model)

    async def state(self, model: Model) -> ContainerState | None:
        """How the model's container stands; None if there is none. Raises ContainerError."""
        try:
            return await self._containers.state(model.container)
        except NoSuchContainerError:
            return None

    async def sleeps(self, model: Model) -> bool:
        """Whether a model's container runs and the model sleeps in it; False if nobody can tell."""
        if model.park is None or self._parking is None:
            return False
        try:
            state = await self.state(model)
        except ContainerError:
            return False
        return state is not None and state.running and await self._parking.sleeps(model, state.run)

    async def runs(self, model: Model) -> bool:
        """Whether the model's container runs. Raises ContainerError."""
        return await self._runs(model.container)

    async def _wake(self, model: Model) -> str:
        """Wake it if it runs and sleeps; stop it if it can't be woken. How it comes in."""
        if model.park is None or self._parking is None:
            return START
        if not await self.sleeps(model):
            return START
        try:
            return await self._parking.enter(model)
        except ParkingError as error:
            log.info("%s is started anew: %s", model.name, error.message)
            await self.ensure_stopped(model)
            return START

    async def _bring_up(self, model: Model) -> str:
        name = model.container
        state = await self._containers.state(name)
        if model.config_hash and state.config_hash not in ("", model.config_hash):
            raise EngineError(
                f"{name} was made from another definition than the registry's: anvil-ctl up"
            )
        if not state.running:
            await self._containers.start(name)
        pause = self._poll_s
        while True:
            ready = await self._probe.ready(model)
            state = await self._containers.state(name)
            if not state.running:
                raise EngineError(
                    f"{name} {state.described()} while it loaded {model.name}; its last words: "
                    f"anvil-ctl logs {model.tier}"
                )
            if ready:
                await self._fill(model)
                return state.run
            await asyncio.sleep(pause)
            pause = min(pause * _POLL_GROWS, _POLL_MOST_S)

    async def _fill(self, model: Model) -> None:
        """The container is up, and the model of one that starts asleep is not there yet."""
        if model.park is None or not model.park.starts_asleep or self._parking is None:
            return
        if await self.sleeps(model):
            await self._parking.load(model)

    async def _exited(self, name: str) -> None:
        while await self._runs(name):  # noqa: ASYNC110 - it is asked afar
            await asyncio.sleep(self._poll_s)

    async def _runs(self, name: str) -> bool:
        try:
            return (await self._containers.state(name)).running
        except NoSuchContainerError:
            return False
