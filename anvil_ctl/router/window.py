"""The commit window: an answer is kept back whole, looked at, and only then promised or dropped.

Nothing of an answer that is found unsound leaves this process: what is dropped was never written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from anvil_ctl.errors import AnvilError
from anvil_ctl.router.dialects.answer import Answer
from anvil_ctl.router.dialects.delta import Usage
from anvil_ctl.router.dialects.recode import Collect, Recoder
from anvil_ctl.router.verify.chain import Check, Outcome, verify
from anvil_ctl.router.verify.view import Asked, View, view
from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.response import Response

# Below this many characters the checks take less time than a thread would.
_AT_ONCE = 16 << 10
_WORKERS = ThreadPoolExecutor(2, thread_name_prefix="verify")


class UnsoundError(AnvilError):
    """An answer failed a check. `check` is its name; `usage` is what the answer took."""

    def __init__(self, check: str, usage: Usage) -> None:
        super().__init__(f"the answer failed {check}")
        self.check = check
        self.usage = usage


class Window:
    """Takes in a stream to its end, as the client would get it and as the checks read it."""

    def __init__(self, recoder: Recoder, collect: Collect, *, most: int) -> None:
        self._recoder = recoder
        self._collect = collect
        self._most = most
        self._size = 0
        self._out: list[bytes] = []

    @property
    def answer(self) -> Answer:
        """What has been read."""
        return self._collect.answer

    async def fill(self, response: Response) -> bytes:
        """Read the stream to its end; returns what the client gets, if it gets it.

        Raises UpstreamError if the answer breaks off, reports an error or is over the limit.
        """
        try:
            await response.pour(self._feed)
        except UpstreamError:
            # What breaks after the terminator takes nothing from the answer.
            if not self._collect.whole:
                raise
        self._collect.finish()
        self._out.append(self._recoder.finish())
        return b"".join(self._out)

    def _feed(self, data: bytes) -> bool:
        self._size += len(data)
        if self._size > self._most:
            raise failed("too_large")
        self._collect.feed(data)
        self._out.append(self._recoder.feed(data))
        return False


class Examiner:
    """Looks at answers on behalf of one request. `seconds` is what that took in all."""

    def __init__(self, asked: Asked, checks: Sequence[Check], *, limit_s: float) -> None:
        self._asked = asked
        self._checks = checks
        self._limit_s = limit_s
        self.seconds = 0.0

    async def examine(self, answer: Answer) -> None:
        """Raises UnsoundError, naming the check that failed."""
        began = time.monotonic()
        seen = view(answer, self._asked)
        outcome = await self._run(seen)
        self.seconds += time.monotonic() - began
        if outcome.failed is not None:
            raise UnsoundError(outcome.failed, answer.counted())

    async def _run(self, seen: View) -> Outcome:
        size = len(seen.text) + sum(len(call.arguments) for call in seen.calls)
        if size <= _AT_ONCE:
            return verify(seen, self._checks)
        # A large answer must not stop everybody else's streams.
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(_WORKERS, verify, seen, self._checks)
        try:
            return await asyncio.wait_for(running, self._limit_s)
        except TimeoutError:
            return Outcome("verifier_timeout", 0.0)
