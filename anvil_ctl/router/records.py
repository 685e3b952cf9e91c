"""What was decided for the last requests: metadata only, never a word of a prompt or an answer."""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request

MAX_KEPT = 10_000


class Record(msgspec.Struct, frozen=True):
    """One routed request. `ts` is Unix seconds at its end; `fields` is what was logged of it."""

    decision_id: str
    ts: float
    path: str
    status: int
    total_ms: float
    bytes_out: int
    fields: dict[str, object]


# A routed request that is over: at what Unix time, and after how many seconds.
Ended = tuple[Request, Exchange, float, float]


class Records:
    """The last of them, the newest last. A new one pushes the oldest out."""

    def __init__(self, most: int = MAX_KEPT) -> None:
        self._kept: deque[Record] = deque(maxlen=most)

    def add(self, ended: Ended) -> Record:
        """Keep what a finished request leaves behind."""
        request, exchange, at, seconds = ended
        record = Record(
            exchange.request_id,
            at,
            request.path,
            exchange.status,
            round(seconds * 1000, 1),
            exchange.sent,
            exchange.fields,
        )
        self._kept.append(record)
        return record

    def newest(self, most: int) -> list[dict[str, object]]:
        """Up to `most` of them as JSON objects, the newest first."""
        return [told(record) for record in islice(reversed(self._kept), most)]


def told(record: Record) -> dict[str, object]:
    """The record as one JSON object."""
    known = msgspec.structs.asdict(record)
    return {**known.pop("fields"), **known}
