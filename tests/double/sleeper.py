"""An engine that can give up the card: the endpoints of vLLM, SGLang and llama.cpp for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.double.engine import Engine, Turn
from tests.double.server import Answer, Seen

SECRET = "2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31 and 37: a prime has two divisors."
Ill = Literal["garbled", "renamed", "slow", "stuck", "refuses", "dead"]


@dataclass
class Card:
    """A card's memory in MiB, and who has how much of it."""

    memory: int
    held: dict[str, int] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.memory - sum(self.held.values())


class Sleeper:
    """A script: an engine with the surfaces of all three. Awake it holds `takes` of the card.

    `ill` is what is wrong with it once it has woken (or, for `stuck`, would sleep), and `leaks`
    what it keeps of the card while it sleeps.
    """

    def __init__(self, name: str, card: Card, *, takes: int = 80, ill: Ill | None = None) -> None:
        self.card = card
        self.takes = takes
        self.ill = ill
        self.leaks = 0
        self.asleep = False
        self.woke = False
        self.calls: list[str] = []
        self.name = name
        self._engine = Engine(name, lambda _body: Turn(text=self._text()))

    def boot(self) -> int | None:
        """Its container starts: the exit code with which it fails, if the card is too full."""
        self.asleep = self.woke = False
        self._engine.name = self.name
        if self.card.free < self.takes:
            return 1
        self.card.held[self.name] = self.takes
        return None

    def end(self) -> None:
        """Its container has exited."""
        self.card.held.pop(self.name, None)

    async def __call__(self, seen: Seen, answer: Answer) -> None:
        path = seen.path.partition("?")[0]
        act = self._acts(seen).get(path)
        if act is not None and seen.method == "POST":
            self.calls.append(seen.path)
            if self.woke and self.ill == "dead":
                answer.cut()
                return
            if self.ill == "refuses" and self.asleep:
                await answer.json({"error": "cannot wake"}, 500)
                return
            act()
            await answer.json({"success": True})
        elif path == "/is_sleeping":
            await answer.json({"is_sleeping": self.asleep})
        elif path == "/models":
            value = "unloaded" if self.asleep else "loaded"
            await answer.json({"data": [{"id": self.name, "status": {"value": value}}]})
        elif self.asleep and path not in ("/health", "/ready", "/v1/models"):
            await answer.json({"error": {"message": "it sleeps"}}, 503)
        else:
            if self.woke and self.ill == "slow" and seen.method == "POST":
                await asyncio.sleep(0.6)
            await self._engine(seen, answer)

    def _acts(self, seen: Seen) -> dict[str, Callable[[], None]]:
        partly = "tags=weights" in seen.path
        return {
            "/sleep": self._sleep,
            "/release_memory_occupation": self._sleep,
            "/models/unload": self._sleep,
            "/wake_up": (lambda: None) if partly else self._wake,
            "/resume_memory_occupation": self._wake,
            "/models/load": self._wake,
            "/collective_rpc": lambda: None,
        }

    def _sleep(self) -> None:
        if self.ill == "stuck":
            return
        self.asleep = True
        self.card.held[self.name] = self.leaks

    def _wake(self) -> None:
        self.asleep = False
        self.woke = True
        self.card.held[self.name] = self.takes
        if self.ill == "renamed":
            self._engine.name = "somebody-else"

    def _text(self) -> str:
        return "Primes primes primes" if self.woke and self.ill == "garbled" else SECRET
