"""One request for a model, as whoever made it sees it."""

from __future__ import annotations

import asyncio

from anvil_ctl.multiplexer.model import Refusal, RefusedError


class Ticket:
    """One request for a model, from asking to leaving."""

    __slots__ = ("_outcome", "asked_at", "model", "number", "severed")

    def __init__(self, number: int, model: str, asked_at: float) -> None:
        self.number = number
        self.model = model
        self.asked_at = asked_at
        self.severed = asyncio.Event()
        self._outcome: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()

    async def granted(self, within_s: float | None = None) -> bool:
        """Wait for the lease; False if it takes longer than that. Raises RefusedError."""
        if not self._outcome.done():
            await asyncio.wait([self._outcome], timeout=within_s)
        if not self._outcome.done():
            return False
        refusal = self._outcome.result()
        if refusal is not None:
            raise RefusedError(refusal)
        return True

    def settle(self, refusal: Refusal | None) -> None:
        """The scheduler has decided."""
        self._outcome.set_result(refusal)
