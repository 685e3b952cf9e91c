"""What a stream that is sent on as it is begins with, and what ends it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.passthrough import Passthrough
from anvil_ctl.upstream.failure import UpstreamError

FIRST = b'data: {"model":"theirs","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
PIECES = (
    FIRST,
    b'data: {"model":"theirs","choices":[{"index":0,"delta":{"content":"no error"}}]}\n\n',
    b'data: {"model":"theirs","choices":[{"index":0,"delta":{"content":"\\n\\n\\n"}}]}\r\n\r\n',
    b'data: {"model":"theirs","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"model":"theirs","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b": a comment\n\n\n\n",
    b"data: [DONE]\n\n",
)


def begun(model: bytes | None, *, include_usage: bool) -> Passthrough:
    recoder = Passthrough(Dialect.OPENAI, model=model, include_usage=include_usage)
    recoder.feed(FIRST)
    assert recoder.ready
    return recoder


@given(
    st.lists(st.sampled_from(PIECES), max_size=8),
    st.lists(st.integers(1, 400), max_size=6),
    st.sampled_from([None, b'"ours"', b'"theirs"']),
    st.booleans(),
)
def test_passing_writes_what_feeding_returns_however_the_bytes_are_cut(
    pieces: list[bytes], cuts: list[int], model: bytes | None, include_usage: bool
) -> None:
    stream = b"".join(pieces)
    reads = pieces
    if cuts:  # else as a slow engine sends them, an event in each read
        at = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
        reads = [stream[a:b] for a, b in itertools.pairwise(at)]
    plain, short = (begun(model, include_usage=include_usage) for _ in range(2))
    written: list[bytes] = []
    passed = short.passing(written.append)

    fed = [plain.feed(read) for read in reads]

    assert [passed(read) for read in reads] == [False] * len(reads)
    assert written == fed
    assert short.whole == plain.whole
    assert short.counts()() == plain.counts()()


def test_an_error_in_the_stream_is_not_passed_on_either() -> None:
    written: list[bytes] = []
    passed = begun(None, include_usage=True).passing(written.append)

    with pytest.raises(UpstreamError, match="error_in_stream"):
        passed(b'data: {"error":{"message":"at /secret/path"}}\n\n')
    assert written == []


@pytest.mark.parametrize("ended", [True, False])
def test_the_terminator_of_one_dialect_is_none_in_the_other(ended: bool) -> None:
    """Some engines end an Anthropic stream with OpenAI's word as well: it proves nothing."""
    recoder = Passthrough(Dialect.ANTHROPIC, model=None, include_usage=True)
    recoder.feed(
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}\n\n'
        b"event: message_delta\n"
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"output_tokens":5}}\n\n'
    )
    if ended:
        recoder.feed(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    recoder.feed(b"data: [DONE]\n\n")

    assert recoder.whole is ended
    assert recoder.counts()().output == 5


def test_the_counts_of_an_end_that_is_cut_anywhere_are_the_same() -> None:
    stream = b"".join(PIECES)
    for cut in range(1, len(stream)):
        recoder = Passthrough(Dialect.OPENAI, model=None, include_usage=True)
        recoder.feed(stream[:cut])
        recoder.feed(stream[cut:])
        assert recoder.whole
        assert (recoder.counts()().input, recoder.counts()().output) == (3, 2)


@pytest.mark.parametrize(
    ("first", "ready"),
    [
        (FIRST, True),
        (b'data: {"choices":[{"delta":{"role":"assistant","content":"a"}}]}\n\n', True),
        (b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n', False),
        (b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n', False),
        (b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n', True),
        (b'data: {"id":"\\"choices\\":[{\\"delta\\":{\\"content\\":\\"a","choices":[]}\n\n', False),
        (b': {"choices":[{"delta":{"content":"a"}}]}\n\n', False),
    ],
)
def test_a_stream_is_begun_by_what_an_engine_says_and_not_by_its_frame(
    first: bytes, ready: bool
) -> None:
    recoder = Passthrough(Dialect.OPENAI, model=None, include_usage=True)
    recoder.feed(first)

    assert recoder.ready is ready
