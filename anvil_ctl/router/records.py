"""What was decided for the last requests: metadata only, never a word of a prompt or an answer."""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.logs import milliseconds

MAX_KEPT = 10_000


class Records:
    """The last of them as JSON objects, the newest last. A new one pushes the oldest out.

    `ts` is Unix seconds at a request's end. They are kept as the bytes that the decision log gets,
    so that each is put together once.
    """

    def __init__(self, most: int = MAX_KEPT) -> None:
        self._kept: deque[bytes] = deque(maxlen=most)
        self._encoder = msgspec.json.Encoder()

    def add(self, exchange: Exchange, seconds: float, ended_at: float) -> bytes:
        """Keep what a request left behind that ended `ended_at`, Unix seconds; returns its JSON."""
        record = self._encoder.encode(
            {
                **exchange.fields,
                "decision_id": exchange.request_id,
                "ts": ended_at,
                "path": exchange.path,
                "status": exchange.status,
                "total_ms": milliseconds(seconds),
                "bytes_out": exchange.sent,
            }
        )
        self._kept.append(record)
        return record

    def lines(self) -> bytes:
        """All of them as lines of JSON, the oldest first."""
        return b"".join(record + b"\n" for record in self._kept)

    def newest(self, most: int) -> list[msgspec.Raw]:
        """Up to `most` of them, the newest first."""
        return [msgspec.Raw(record) for record in islice(reversed(self._kept), most)]
