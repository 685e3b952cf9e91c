"""A multiplexer that grants leases, and a router that asks it for them."""

from __future__ import annotations

import asyncio

from tests.unit.router import doubles
from tests.unit.router.doubles import Answer, Seen


def leased(engine: str, multiplexer: str) -> str:
    return doubles.config(
        doubles.tier("a", engine, swap_group="cpu"),
        presets='chat = ["a"]',
        multiplexer=multiplexer,
    )


class Leases:
    """A multiplexer that grants when told to, and sees leases end."""

    def __init__(self) -> None:
        self.grant = asyncio.Event()
        self.open = 0

    async def __call__(self, seen: Seen, answer: Answer) -> None:
        assert seen.path == "/v1/lease"
        assert seen.headers["authorization"] == "Bearer mux-secret"
        assert seen.json == {"model": "a-model"}
        self.open += 1
        try:
            await answer.start("application/x-ndjson")
            await answer.chunk(b'{"state":"queued","position":1,"estimate_s":3.2}\n')
            await self.grant.wait()
            await answer.chunk(b'{"state":"granted","model":"a-model","url":"x","waited_s":0}\n')
            await asyncio.Event().wait()
        finally:
            self.open -= 1
