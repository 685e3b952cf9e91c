"""Streams re-encoded: blocks, fragments, ends."""

from __future__ import annotations

import json
import time

import pytest

from anvil_ctl.router.dialects import finish, passthrough, recode
from anvil_ctl.router.dialects.answer import Answer, Stamp
from anvil_ctl.router.dialects.anthropic_writer import AnthropicWriter
from anvil_ctl.router.dialects.call import Call, Dialect
from anvil_ctl.router.dialects.delta import (
    Delta,
    Ended,
    Finish,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)
from anvil_ctl.router.dialects.passthrough import Passthrough
from anvil_ctl.router.dialects.recode import Collect, Translate, reader, render, replay, writer
from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.sse import EventDecoder
from tests.unit.router import doubles

STAMP = Stamp("id1", 5, "chat")


def call(dialect: Dialect) -> Call:
    return Call(dialect, "chat", stream=True, include_usage=False, raw={})


def events(data: bytes) -> list[dict[str, object]]:
    return [json.loads(e.data) for e in EventDecoder().feed(data) if e.data != b"[DONE]"]


def anthropic(deltas: list[Delta]) -> list[dict[str, object]]:
    return events(replay(deltas, AnthropicWriter(STAMP)))


def shape(written: list[dict[str, object]]) -> list[str]:
    """Each event as `type` and, where it has one, the block's index."""
    return [f"{e['type']} {e.get('index', '')}".strip() for e in written]


def test_a_tool_only_reply_has_no_empty_text_block() -> None:
    written = anthropic([ToolStart(0, "t", "f"), ToolArguments(0, "{}"), Finish("stop"), Ended()])

    assert shape(written) == [
        "message_start", "ping", "content_block_start 0", "content_block_delta 0",
        "content_block_stop 0", "message_delta", "message_stop",
    ]  # fmt: skip
    assert written[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}


def test_blocks_are_opened_in_the_order_of_arrival_and_numbered_without_gaps() -> None:
    written = anthropic(
        [Thinking("hm"), Text("a"), Text("b"), ToolStart(4, "t", "f"), ToolArguments(4, '{"a":1}')]
    )

    starts = [e for e in written if e["type"] == "content_block_start"]
    assert [e["index"] for e in starts] == [0, 1, 2]
    kinds = [block["type"] for e in starts if isinstance(block := e["content_block"], dict)]
    assert kinds == ["thinking", "text", "tool_use"]


def test_interleaved_tool_calls_are_told_one_after_the_other() -> None:
    written = anthropic(
        [
            ToolStart(0, "a", "f"), ToolArguments(0, '{"x":'),
            ToolStart(1, "b", "g"), ToolArguments(1, '{"y":'),
            ToolArguments(0, "1}"), ToolArguments(1, "2}"), Finish("tool_calls"),
        ]
    )  # fmt: skip

    told: dict[object, str] = {}
    for event in written:
        delta = event.get("delta")
        if event["type"] == "content_block_delta" and isinstance(delta, dict):
            told[event["index"]] = told.get(event["index"], "") + delta["partial_json"]
    assert told == {0: '{"x":1}', 1: '{"y":2}'}
    assert shape(written).index("content_block_stop 0") < shape(written).index(
        "content_block_start 1"
    )


def test_output_tokens_are_estimated_from_the_text_where_the_engine_counts_none() -> None:
    written = anthropic([Text("x" * 40), Finish("stop"), Ended()])

    assert written[-2]["usage"] == {"input_tokens": 0, "output_tokens": 10}


def test_cached_tokens_are_counted_as_each_dialect_counts_them() -> None:
    deltas: list[Delta] = [Text("x"), Finish("stop"), Usage(input=10, output=2, cached=4), Ended()]

    assert anthropic(deltas)[-2]["usage"] == {
        "input_tokens": 6,
        "output_tokens": 2,
        "cache_read_input_tokens": 4,
    }


TOOLS = doubles.openai_events(
    {"reasoning_content": "hm"},
    {"content": "a"},
    {"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": '{"a"'}}]},
    {"tool_calls": [{"function": {"arguments": ":1}"}}]},
    {"tool_calls": [{"id": "y", "function": {"name": "g", "arguments": "{}"}}]},
    finish="tool_calls",
)


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    collect = Collect(Dialect.OPENAI)
    collect.feed(b"".join(TOOLS))
    collect.finish()

    calls = [(call.id, call.name, call.arguments) for call in collect.answer.calls]
    assert calls == [("x", "f", '{"a":1}'), ("y", "g", "{}")]
    assert collect.answer.thinking == "hm"
    assert collect.answer.usage == Usage(7, 3)


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_a_stream_says_the_same_however_it_is_cut(size: int) -> None:
    whole = b"".join(TOOLS)
    recoder = Translate(Dialect.OPENAI, AnthropicWriter(STAMP))
    out = b""
    for at in range(0, len(whole), size):
        out += recoder.feed(whole[at : at + size])
    out += recoder.finish()
    at_once = Translate(Dialect.OPENAI, AnthropicWriter(STAMP))

    assert out == at_once.feed(whole) + at_once.finish()

    back = Collect(Dialect.ANTHROPIC)
    back.feed(out)
    back.finish()
    assert back.answer.text == "a"
    assert [call.arguments for call in back.answer.calls] == ['{"a":1}', "{}"]
    assert back.answer.usage == Usage(7, 3)


@pytest.mark.parametrize(
    ("dialect", "stream"),
    [
        (Dialect.OPENAI, doubles.openai_events({"content": "a"}, done=False)[:-2]),
        (Dialect.ANTHROPIC, doubles.anthropic_events(({"type": "text", "text": "a"}, []), done=False)),
    ],
)  # fmt: skip
def test_a_stream_without_its_terminator_is_cut_off(dialect: Dialect, stream: list[bytes]) -> None:
    for recoder in (
        Passthrough(dialect, model=None, include_usage=True),
        Translate(dialect, writer(call(Dialect.OPENAI), STAMP)),
    ):
        recoder.feed(b"".join(stream))
        with pytest.raises(UpstreamError, match="truncated"):
            recoder.finish()


def test_text_that_looks_like_a_terminator_or_an_error_is_text() -> None:
    trap = 'data: [DONE]\n\ndata: {"error":1}\n\nevent: error'
    stream = doubles.openai_events({"content": trap}, done=False)[:2]
    recoder = Passthrough(Dialect.OPENAI, model=None, include_usage=True)

    assert recoder.feed(b"".join(stream)) == b"".join(stream)
    assert not recoder.whole


def test_a_passed_on_stream_is_not_changed_if_nothing_has_to_be() -> None:
    stream = b"".join(TOOLS)
    recoder = Passthrough(Dialect.OPENAI, model=None, include_usage=True)

    assert recoder.feed(stream) + recoder.finish() == stream
    assert recoder.counts()() == Usage(7, 3)


def test_a_stream_that_ends_at_its_finish_reason_gets_the_terminator_it_lacks() -> None:
    stream = b"".join(doubles.openai_events({"content": "a"}, done=False))
    recoder = Passthrough(Dialect.OPENAI, model=None, include_usage=True)

    assert recoder.feed(stream) + recoder.finish() == stream + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"x",
        b'{"choices":null}',
        b'{"choices":[1]}',
        b'{"choices":[{"message":null}]}',
    ],
)
def test_a_malformed_openai_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="malformed_body"):
        reader(Dialect.OPENAI).whole(body)


@pytest.mark.parametrize("body", [b"{}", b'{"content":null}', b'{"content":"x"}', b"nope"])
def test_a_malformed_anthropic_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="malformed_body"):
        reader(Dialect.ANTHROPIC).whole(body)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (Dialect.OPENAI, b'{"choices":[]}'),
        (Dialect.OPENAI, b'{"choices":[{"message":{"content":null}}]}'),
        (Dialect.ANTHROPIC, b'{"content":[]}'),
    ],
)
def test_an_empty_answer_is_an_answer(dialect: Dialect, body: bytes) -> None:
    answer = Answer()
    answer.extend(reader(dialect).whole(body))

    assert answer.text == ""
    assert json.loads(render(call(Dialect.ANTHROPIC), answer, STAMP))["content"] == [
        {"type": "text", "text": ""}
    ]
    assert (
        json.loads(render(call(Dialect.OPENAI), answer, STAMP))["choices"][0]["message"]["content"]
        is None
    )


@pytest.mark.parametrize(
    ("reason", "tools", "openai", "anthropic_word"),
    [
        (None, False, "stop", "end_turn"),
        ("STOP", False, "stop", "end_turn"),
        ("stop_sequence", False, "stop", "stop_sequence"),
        ("stop", True, "tool_calls", "tool_use"),
        ("tool_use", True, "tool_calls", "tool_use"),
        ("function_call", False, "tool_calls", "tool_use"),
        ("model_length", False, "length", "max_tokens"),
        ("max_tokens", True, "length", "max_tokens"),
        ("content_filter", False, "content_filter", "refusal"),
        ("pause_turn", False, "stop", "pause_turn"),
        ("whatever", False, "stop", "end_turn"),
    ],
)
def test_finish_reasons_have_a_word_in_each_dialect(
    reason: str | None, tools: bool, openai: str, anthropic_word: str
) -> None:
    assert finish.for_openai(reason, tools=tools) == openai
    assert finish.for_anthropic(reason, tools=tools) == anthropic_word


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{ "id":1, "model": "served" , "x": 1.50}', b'{ "id":1, "model":"asked" , "x": 1.50}'),
        (b'{"x":1}', b'{"x":1,"model":"asked"}'),
        (b'{"x":{"model":"inner"}}', b'{"x":{"model":"inner"},"model":"asked"}'),
        (b'{"x":{"model":"i"},"model":"s"}', b'{"x":{"model":"i"},"model":"asked"}'),
        (b'{"model":"s","x":{"model":"i"}}', b'{"model":"asked","x":{"model":"i"}}'),
        (b'{"a\\"model":"b"}', b'{"a\\"model":"b","model":"asked"}'),
        (
            b'{"a":"\\"model\\":\\"b\\"","model":"s"}',
            b'{"a":"\\"model\\":\\"b\\"","model":"asked"}',
        ),
        (b'{"model":"s","model":"t"}', b'{"model":"asked"}'),
    ],
)
def test_only_the_answers_own_name_is_replaced(body: bytes, expected: bytes) -> None:
    renamed = passthrough.renamed(body, b'"asked"')

    assert json.loads(renamed) == json.loads(expected)
    if body.count(b"model") == 1 and b'"x": 1.50' in body:
        assert b'"x": 1.50}' in renamed
    assert passthrough.renamed(body, None) == body


@pytest.mark.parametrize("dialect", [Dialect.OPENAI, Dialect.ANTHROPIC])
def test_the_text_in_the_middle_is_written_as_the_first_piece_is(dialect: Dialect) -> None:
    written = writer(call(dialect), STAMP)
    begun = written.begin(Usage())
    first = written.write([Text('a "quoted"\n\u2028 é %d %b')])
    later = written.write([Text('a "quoted"\n\u2028 é %d %b')])

    assert begun
    assert first.endswith(later)
    (event,) = EventDecoder().feed(later)
    assert json.loads(event.data) == json.loads(first.split(b"data: ")[-1])
    assert reader(dialect).read(event)[-1] == Text('a "quoted"\n\u2028 é %d %b')


@pytest.mark.parametrize("size", [1, 64, 1 << 20])
def test_beginning_usage_and_end_are_found_in_a_long_stream_however_it_is_cut(size: int) -> None:
    pieces = [{"content": "x" * 40} for _ in range(500)]
    stream = b"".join(doubles.openai_events(*pieces))
    recoder = passthrough.Passthrough(Dialect.OPENAI, model=b'"asked"', include_usage=True)

    out = b"".join(recoder.feed(stream[i : i + size]) for i in range(0, len(stream), size))
    out += recoder.finish()

    assert recoder.ready
    assert recoder.whole
    assert (recoder.counts()().input, recoder.counts()().output) == (7, 3)
    assert out.count(b'"model":"asked"') == 503
    assert b"served-name" not in out


@pytest.mark.parametrize(
    "piece", [{"content": "x" * 10_000}, {"tool_calls": [{"id": "x" * 10_000, "function": {}}]}]
)
def test_an_answer_that_is_kept_has_a_bound(
    piece: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recode, "MAX_KEPT", 50_000)
    collect = Collect(Dialect.OPENAI)
    event = doubles.openai_events(piece)[1]

    many = b"".join(event.replace(b"xxx", b"x%d" % number, 1) for number in range(10))

    with pytest.raises(UpstreamError, match="too_large"):
        collect.feed(many)


def test_long_arguments_take_time_in_proportion_to_their_length() -> None:
    """Half a megabyte in fragments: adding each to a string took 12 s, joining them once 1 s."""
    begun, fragment = (
        doubles.openai_events({"tool_calls": [{"index": 0, **more}]})[1]
        for more in (
            {"id": "a", "function": {"name": "f", "arguments": '{"a":"'}},
            {"function": {"arguments": "xxxxxxxx"}},
        )
    )
    recoder = Translate(Dialect.OPENAI, AnthropicWriter(STAMP))
    recoder.feed(begun)

    def seconds(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            recoder.feed(fragment)
        return time.process_time() - began

    first = seconds(2000)
    seconds(16_000)
    assert seconds(2000) < 3 * first
