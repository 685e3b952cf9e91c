"""Streams in chunks: whole ones go by the parser, and nobody can tell."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.serving.chunks import HEADS, HEADS_BY_LENGTH, LONGEST
from anvil_ctl.upstream.client import Pool, _Lane
from anvil_ctl.upstream.connection import Connection
from anvil_ctl.upstream.endpoint import endpoint
from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.incoming import Incoming
from anvil_ctl.upstream.response import Response
from tests.unit.upstream.asking import LIMITS

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
# What stands in chunks: events, parts of them, and what looks like the frame of a chunk.
TEXTS = [
    b"data: a\n\n",
    b"data: " + b"x" * 300 + b"\n\n",
    b"data: one\n\ndata: two\n\n",
    b"data: b\r\n\r\n",
    b"da",
    b"ta: c\n\n\r\n",
    b"\n\n",
    b"5\r\nhello\r\n",
    b"y" * 5000 + b"\n\n",
]
FORMS = [b"%x\r\n%b\r\n", b"%X\r\n%b\r\n", b"0%x\r\n%b\r\n", b"%x;a=b\r\n%b\r\n"]


class NoTransport(asyncio.Transport):
    """Takes what is written, and can be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = False

    def get_extra_info(self, _name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return self.gone

    def write(self, _data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        self.gone = True


WHERE = endpoint("http://127.0.0.1:9", "/v1/x")


async def began() -> tuple[Connection, Response]:
    pool = Pool()
    connection = Connection(pool, WHERE, pool._watch)
    connection.connection_made(NoTransport())
    pool._lanes.setdefault(WHERE.origin, _Lane()).used += 1
    return connection, connection.send(WHERE, b"{}", b"", LIMITS)


def reads(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    return [stream[a:b] for a, b in itertools.pairwise(at)]


@given(
    st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(FORMS)), min_size=1, max_size=12),
    st.lists(st.integers(0, 20_000), max_size=8),
    st.booleans(),
)
def test_whatever_the_reads_are_the_body_is_what_was_in_the_chunks(
    said: list[tuple[bytes, bytes]], cuts: list[int], each_in_a_read: bool
) -> None:
    chunks = [form % (len(text), text) for text, form in said]
    stream = HEAD + b"".join(chunks) + END
    arriving = [HEAD, *chunks, END] if each_in_a_read else reads(stream, cuts)
    taken: list[bytes] = []
    ended: list[bool] = []

    def take(piece: bytes) -> bool:
        taken.append(piece)
        return False

    async def run() -> None:
        connection, response = await began()
        connection.data_received(arriving[0])
        waiter = response.pour(take, lambda: ended.append(True))
        for read in arriving[1:]:
            connection.data_received(read)
        await waiter
        assert response.ended
        assert connection.sink is None

    asyncio.run(run())

    assert b"".join(taken) == b"".join(text for text, _form in said)
    assert ended == [True]


async def test_events_that_come_one_by_one_are_not_parsed() -> None:
    connection, response = await began()
    connection.data_received(HEAD)
    taken: list[bytes] = []

    def take(piece: bytes) -> bool:
        taken.append(piece)
        return False

    response.pour(take)
    event = FORMS[0] % (len(TEXTS[0]), TEXTS[0])
    connection.data_received(event)
    parsed: list[bytes] = []
    connection._incoming.feed = parsed.append
    for _ in range(5):
        connection.data_received(event)

    assert parsed == []
    assert taken == [TEXTS[0]] * 6


async def test_a_sink_may_have_enough_or_refuse_in_the_middle_of_whole_chunks() -> None:
    event = FORMS[0] % (len(TEXTS[0]), TEXTS[0])
    connection, response = await began()
    connection.data_received(HEAD)
    seen: list[bytes] = []

    def three(piece: bytes) -> bool:
        seen.append(piece)
        return len(seen) == 3

    waiter = response.pour(three)
    for _ in range(4):
        connection.data_received(event)
    await waiter
    assert len(seen) == 3
    assert await response.beginning(len(TEXTS[0])) == TEXTS[0]

    def refuses(_piece: bytes) -> bool:
        raise failed("error_in_stream")

    connection, response = await began()
    connection.data_received(HEAD)
    waiter = response.pour(lambda _piece: False)
    connection.data_received(event)
    response.divert(refuses)
    connection.data_received(event)
    with pytest.raises(UpstreamError, match="error_in_stream"):
        await waiter


async def test_what_came_with_a_head_is_not_lost_when_its_connection_is_used_again() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d"
    connection, first = await began()
    connection.data_received(answer % 1)
    assert first.ended
    second = connection.send(WHERE, b"{}", b"", LIMITS)
    connection.data_received(answer % 2)

    assert (await first.read(9), await second.read(9)) == (b"1", b"2")


def test_a_chunk_is_told_from_its_length_and_how_it_begins() -> None:
    for size in range(1, LONGEST):
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
        assert chunk.startswith(HEADS[size])
        if len(chunk) < LONGEST:
            assert HEADS_BY_LENGTH[len(chunk)] == HEADS[size]
    assert all(head == b"\0" or head in HEADS for head in HEADS_BY_LENGTH)


def test_a_parser_serves_one_answer_after_the_other() -> None:
    incoming = Incoming()
    for number in range(3):
        incoming.begin()
        body = b"x" * number
        incoming.feed(b"HTTP/1.1 100 Continue\r\na: b\r\n\r\n")
        incoming.feed(
            b"HTTP/1.1 200 OK\r\nX-N: %d\r\ncontent-length: %d\r\n\r\n" % (number, number)
        )
        assert (incoming.headed, incoming.status) == (True, 200)
        assert incoming.headers == {"x-n": str(number), "content-length": str(number)}
        if number:
            incoming.feed(body)
        assert (incoming.over, incoming.keep, b"".join(incoming.pieces)) == (True, True, body)
