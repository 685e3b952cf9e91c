"""Server-sent events, however they arrive."""

from __future__ import annotations

import pytest

from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.sse import EventDecoder, ServerEvent

STREAM = (
    ": comment\n\n"
    "event: a\ndata: one\ndata:  two\n\n"
    "data:three\r\nid: 4\r\n\r\n"
    "data: grüß\n\n"
    "data: last"
).encode()
EVENTS = [
    ServerEvent("a", b"one\n two"),
    ServerEvent("", b"three"),
    ServerEvent("", "grüß".encode()),
    ServerEvent("", b"last"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    decoder = EventDecoder()
    found: list[ServerEvent] = []
    for at in range(0, len(STREAM), size):
        found += decoder.feed(STREAM[at : at + size])
    found += decoder.finish()

    assert found == EVENTS


def test_a_line_without_end_is_a_failure() -> None:
    decoder = EventDecoder()
    for _ in range(20):
        decoder.feed(b"x" * 50_000)
    with pytest.raises(UpstreamError, match="event_too_large"):
        decoder.feed(b"x" * 50_000)
