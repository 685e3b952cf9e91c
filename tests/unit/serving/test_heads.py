"""Heads that are remembered, against heads that are read anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.serving.framing import read_head
from anvil_ctl.serving.heads import Heads
from anvil_ctl.serving.message import Limits

LIMITS = Limits(max_body=1000)
LINES = [
    b"Host: a",
    b"Content-Length: 5",
    b"content-length:7",
    b"Content-Length: 1001",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Transfer-Encoding: chunked",
    b" 5",
    b"Connection: close",
    b"X-A: b",
    b"X-A: c\r\nContent-Length: 5",
    b"X Y: d",
]


def head(lines: list[bytes], start: bytes = b"POST /v1/messages HTTP/1.1") -> bytes:
    return b"\r\n".join([start, *lines, b"", b""])


@given(st.lists(st.lists(st.sampled_from(LINES), max_size=5), min_size=1, max_size=12))
def test_a_remembered_head_means_what_it_would_mean_if_it_were_new(sent: list[list[bytes]]) -> None:
    heads = Heads(LIMITS)
    for lines in sent:
        raw = head(lines)
        assert heads.read(raw) == read_head(raw, LIMITS)


def test_heads_that_differ_in_their_length_alone_share_everything_else() -> None:
    heads = Heads(LIMITS)
    first = heads.read(head([b"Host: a", b"Content-Length: 5"]))
    second = heads.read(head([b"Host: a", b"Content-Length: 17"]))

    assert (first.length, second.length) == (5, 17)
    assert second.request is first.request


def test_a_number_of_different_heads_takes_a_bounded_amount_of_memory() -> None:
    heads = Heads(LIMITS)
    for number in range(1000):
        framed = heads.read(head([b"X-Id: %d" % number, b"Content-Length: 5"]))
        assert framed.request.headers["x-id"] == str(number)

    assert heads.kept <= 256
