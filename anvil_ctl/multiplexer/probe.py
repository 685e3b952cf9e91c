"""Asking an engine whether it is ready, and whether it serves the model that it should."""

from __future__ import annotations

from typing import Protocol

import aiohttp
import msgspec

from anvil_ctl.errors import AnvilError
from anvil_ctl.multiplexer.model import Model

_PATIENCE = aiohttp.ClientTimeout(total=5, connect=2)


class WrongModelError(AnvilError):
    """An engine is ready, but serves something else."""


class Probe(Protocol):
    """How readiness is found out."""

    async def ready(self, model: Model) -> bool:
        """Whether the engine is up and lists the model. Raises WrongModelError."""

    async def close(self) -> None:
        """Give back what is held."""


class _Row(msgspec.Struct):
    id: str


class _Listing(msgspec.Struct):
    data: list[_Row]


class HttpProbe:
    """A Probe that asks over HTTP."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=_PATIENCE, trust_env=False)

    async def ready(self, model: Model) -> bool:
        """Whether health answers 200 and the models path lists the name."""
        if await self._get(model.url + model.health_path) is None:
            return False
        body = await self._get(model.url + model.models_path)
        if body is None:
            return False
        try:
            names = [row.id for row in msgspec.json.decode(body, type=_Listing).data]
        except msgspec.DecodeError:
            return False
        if names and model.name not in names:
            raise WrongModelError(f"{model.url} serves {', '.join(names)}, not {model.name}")
        return bool(names)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _get(self, url: str) -> bytes | None:
        """The body of a 200; None for anything else, which is what a loading engine gives."""
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                return await response.read() if response.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
