"""Having an engine give up its card without exiting, and take it again: its own endpoints."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec

from anvil_ctl.errors import AnvilError
from anvil_ctl.multiplexer import proof
from anvil_ctl.multiplexer.model import Call, Flag, Model, Park
from anvil_ctl.multiplexer.proof import Proof, ProofError
from anvil_ctl.multiplexer.standing import Standing

_ASIDE_S = 0.05
# Weights go to RAM and back at some GB a second.
_PATIENCE = aiohttp.ClientTimeout(total=300, connect=5)
_LOOK = aiohttp.ClientTimeout(total=5, connect=2)


class ParkingError(AnvilError):
    """An engine did not go to sleep, or did not wake as it was."""


class Parking:
    """The ways in which models sleep. What has not been proved is proved on the first occasion:
    asked before it sleeps, and again after it woke, before anybody else is let to it."""

    def __init__(self, session: aiohttp.ClientSession, standing: Standing) -> None:
        self.standing = standing
        self._session = session
        self._before: dict[str, Proof] = {}

    def applies(self, model: Model) -> bool:
        """Whether a model is to be parked: there is a way, and it was not found wanting."""
        verdict = self.standing.of(model)
        return model.park is not None and (verdict is None or verdict.proved)

    async def leave(self, model: Model, run: str) -> str:
        """Have it sleep in this run; the name of the way. ParkingError: it must be stopped."""
        park = _park(model)
        try:
            if self.standing.of(model) is None:
                self._before[model.name] = await proof.ask(self._session, model)
            await self._calls(model, park.leave)
            await self._until(model, park.asleep, asleep=True)
        except (ParkingError, ProofError) as error:
            self.standing.demote(model, error.message)
            raise ParkingError(error.message) from error
        self.standing.fell_asleep(model, run)
        return park.name

    async def enter(self, model: Model) -> str:
        """Have it wake; the name of the way. ParkingError, after which it must be restarted."""
        park = _park(model)
        self.standing.awake(model)
        if self.standing.of(model) is None and model.name not in self._before:
            # Another process put it to sleep: there is nothing to compare with, and no blame.
            raise ParkingError("what it said before it slept is not known any more")
        try:
            await self._calls(model, park.enter)
            await self._until(model, park.asleep, asleep=False)
            if self.standing.of(model) is None:
                await self._compare(model)
        except (ParkingError, ProofError) as error:
            self.standing.demote(model, error.message)
            raise ParkingError(error.message) from error
        self.standing.proved(model)
        return park.name

    async def load(self, model: Model) -> None:
        """What a container that starts asleep needs before its model is there. ParkingError."""
        park = _park(model)
        await self._calls(model, park.enter)
        await self._until(model, park.asleep, asleep=False)

    async def sleeps(self, model: Model, run: str) -> bool:
        """Whether it sleeps in this run: its engine says so, or was told to and says nothing."""
        if model.park is None:
            return False
        if model.park.asleep is None:
            return self.standing.asleep(model, run)
        try:
            return await self._flag(model, model.park.asleep) == model.park.asleep.asleep
        except ParkingError:
            return False

    async def _compare(self, model: Model) -> None:
        before = self._before.pop(model.name)
        wrong = proof.differs(before, await proof.ask(self._session, model))
        if wrong is not None:
            raise ParkingError(f"after it woke, {wrong}")

    async def _calls(self, model: Model, calls: tuple[Call, ...]) -> None:
        for call in calls:
            body = _named(call.body, model.name)
            try:
                async with self._session.post(
                    model.url + call.path, json=body, timeout=_PATIENCE
                ) as answer:
                    if answer.status >= 300:
                        said = (await answer.text())[:200]
                        raise ParkingError(f"{call.path} answered {answer.status}: {said}")
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise ParkingError(f"{call.path} was not answered: {error!r}") from error

    async def _until(self, model: Model, flag: Flag | None, *, asleep: bool) -> None:
        """Some engines answer a call before it is done."""
        if flag is None:
            return
        wanted = flag.asleep if asleep else flag.awake
        try:
            async with asyncio.timeout(model.start_timeout_s):
                while await self._flag(model, flag) != wanted:  # noqa: ASYNC110 - asked afar
                    await asyncio.sleep(_ASIDE_S)
        except TimeoutError as error:
            state = "asleep" if asleep else "awake"
            raise ParkingError(f"it was not {state} in {model.start_timeout_s:.0f} s") from error

    async def _flag(self, model: Model, flag: Flag) -> object:
        try:
            async with self._session.get(model.url + flag.path, timeout=_LOOK) as answer:
                found: Any = msgspec.json.decode(await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            raise ParkingError(f"{flag.path} does not say how it stands: {error!r}") from error
        for key in flag.key.split("."):
            if isinstance(found, list):
                found = next((each for each in found if each.get("id") == model.name), None)
            found = found.get(key) if isinstance(found, dict) else None
        return found


def _park(model: Model) -> Park:
    if model.park is None:
        raise ParkingError(f"{model.name} has no way to sleep")
    return model.park


def _named(body: dict[str, object], name: str) -> dict[str, object]:
    return {key: name if value == "{model}" else value for key, value in body.items()}
