"""Heads that are remembered, against heads that are read anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.serving.exchange import Exchange, Handler
from anvil_ctl.serving.framing import NOBODY, read_head
from anvil_ctl.serving.heads import Heads
from anvil_ctl.serving.message import Limits, Reply, Request

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


REFUSAL = Reply(401, b"no")


async def answer(_request: Request, _exchange: Exchange) -> None:
    """Never run: only who answers is asked here."""


def gate(request: Request) -> Reply | Handler:
    return REFUSAL if request.headers.get("connection") == "close" else answer


def head(lines: list[bytes], start: bytes = b"POST /v1/messages HTTP/1.1") -> bytes:
    return b"\r\n".join([start, *lines, b"", b""])


@given(st.lists(st.lists(st.sampled_from(LINES), max_size=5), min_size=1, max_size=12))
def test_a_remembered_head_means_what_it_would_mean_if_it_were_new(sent: list[list[bytes]]) -> None:
    heads = Heads(LIMITS, gate)
    for lines in sent:
        framed, verdict = heads.read(head(lines))
        assert framed == read_head(head(lines), LIMITS)
        assert verdict is (None if framed.request is NOBODY else gate(framed.request))


def test_heads_that_differ_in_their_length_alone_share_everything_else() -> None:
    heads = Heads(LIMITS, gate)
    first, _ = heads.read(head([b"Host: a", b"Content-Length: 5"]))
    second, _ = heads.read(head([b"Host: a", b"Content-Length: 17"]))

    assert (first.length, second.length) == (5, 17)
    assert second.request is first.request


def test_a_number_of_different_heads_takes_a_bounded_amount_of_memory() -> None:
    heads = Heads(LIMITS, gate)
    for number in range(1000):
        framed, _ = heads.read(head([b"X-Id: %d" % number, b"Content-Length: 5"]))
        assert framed.request.headers["x-id"] == str(number)

    assert heads.kept <= 256


def test_the_gate_is_asked_about_a_head_once_and_about_a_refused_one_each_time() -> None:
    asked: list[str] = []

    def counting(request: Request) -> Reply | Handler:
        asked.append(request.path)
        return REFUSAL if request.path == "/closed" else answer

    heads = Heads(LIMITS, counting)
    for start in (b"POST /open HTTP/1.1", b"POST /closed HTTP/1.1") * 3:
        framed, verdict = heads.read(head([b"Host: a", b"Content-Length: 5"], start))
        assert verdict is (REFUSAL if framed.request.path == "/closed" else answer)

    assert sorted(asked) == ["/closed"] * 3 + ["/open"]
