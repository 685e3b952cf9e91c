"""Answers that were sent on as they came, looked at once they are out: to be known, not stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from anvil_ctl.router.dialects import recode
from anvil_ctl.router.dialects.answer import Answer
from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.recode import Collect, Counts, Recoder, Write
from anvil_ctl.router.tally import PASSED, TOO_LARGE
from anvil_ctl.router.verify.chain import verify
from anvil_ctl.router.verify.view import Asked, view
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.response import Sink

# One, apart from those that clients wait for: nobody waits for this.
_WORKER = ThreadPoolExecutor(1, thread_name_prefix="hindsight")
# Makes the answer out of what was kept of it; in a thread.
Recall = Callable[[], Answer]


class Keeping:
    """A recoder that keeps what it is fed, up to `most` bytes."""

    def __init__(self, recoder: Recoder, *, most: int) -> None:
        self._recoder = recoder
        self._room = most
        self._kept: list[bytes] = []

    @property
    def ready(self) -> bool:
        """Whether the upstream has begun to answer."""
        return self._recoder.ready

    @property
    def whole(self) -> bool:
        """Whether the answer has reached its terminator."""
        return self._recoder.whole

    def counts(self) -> Counts:
        """What gives the token counts seen so far."""
        return self._recoder.counts()

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client."""
        self._keep(data)
        return self._recoder.feed(data)

    def passing(self, write: Write) -> Sink:
        """What does `feed`, then `write`, for all that comes once `ready`."""
        sink = self._recoder.passing(write)

        def passed(data: bytes) -> bool:
            self._keep(data)
            return sink(data)

        return passed

    def finish(self) -> bytes:
        """The last bytes for the client."""
        return self._recoder.finish()

    def error(self, kind: str, message: str) -> bytes:
        """The last bytes of a stream that can't be finished."""
        return self._recoder.error(kind, message)

    def _keep(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room >= 0:
            self._kept.append(data)
        else:
            self._kept.clear()

    def recall(self, dialect: Dialect, tool: str | None) -> Recall | None:
        """What makes the answer of it; None where it was too long to keep."""
        if self._room < 0:
            return None

        def recalled() -> Answer:
            collect = Collect(dialect, answer=tool)
            collect.feed(b"".join(self._kept))
            collect.finish()
            return collect.answer

        return recalled


def recall_whole(body: bytes, dialect: Dialect, tool: str | None) -> Recall:
    """What makes the answer of an unstreamed one's bytes."""

    def recalled() -> Answer:
        answer = Answer()
        answer.extend(recode.reader(dialect, answer=tool).whole(body))
        return answer

    return recalled


async def look(exchange: Exchange, recall: Recall | None, asked: Asked, *, limit_s: float) -> None:
    """Run all checks over what the client has, and note what came of it.

    It is out, so this changes nothing for the client; who asks many tiers is told by the record
    and the metrics which of them would have been caught.
    """
    if recall is None:
        exchange.fields["post_check"] = TOO_LARGE
        return
    running = asyncio.get_running_loop().run_in_executor(_WORKER, _checked, recall, asked)
    try:
        found, seconds = await asyncio.wait_for(running, limit_s)
    except TimeoutError:
        exchange.fields["post_check"] = "verifier_timeout"
        return
    exchange.fields["post_check"] = found
    exchange.fields["verify_ms"] = round(seconds * 1000, 2)


def _checked(recall: Recall, asked: Asked) -> tuple[str, float]:
    """The check that fails, or that none does, and how long that took."""
    began = time.monotonic()
    try:
        failed = verify(view(recall(), asked)).failed
    except UpstreamError as error:
        failed = error.failure.reason
    return failed or PASSED, time.monotonic() - began
