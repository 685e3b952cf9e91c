"""What a stream that is sent on as it is begins with, and what ends it."""

from __future__ import annotations

import pytest

from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.passthrough import Passthrough

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
    assert recoder.usage.output == 5


def test_the_counts_of_an_end_that_is_cut_anywhere_are_the_same() -> None:
    stream = b"".join(PIECES)
    for cut in range(1, len(stream)):
        recoder = Passthrough(Dialect.OPENAI, model=None, include_usage=True)
        recoder.feed(stream[:cut])
        recoder.feed(stream[cut:])
        assert recoder.whole
        assert (recoder.usage.input, recoder.usage.output) == (3, 2)


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
