"""Streams have the shape that each dialect's clients expect, whatever an engine says in which order."""

from __future__ import annotations

import json
from typing import Any

import openai
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from anvil_ctl.router.dialects import recode
from anvil_ctl.router.dialects.answer import Answer, Stamp
from anvil_ctl.router.dialects.call import Call, Dialect
from anvil_ctl.router.dialects.delta import (
    Delta,
    Ended,
    Finish,
    Signature,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)
from anvil_ctl.router.dialects.recode import replay, writer
from anvil_ctl.router.dialects.responses_tools import Toolbox
from anvil_ctl.router.dialects.responses_writer import Asked
from anvil_ctl.upstream.sse import EventDecoder

STAMP = Stamp("id1", 5, "chat")
TOOLS = Toolbox([
    {"type": "function", "name": "f"},
    {"type": "custom", "name": "c"},
    {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]},
])  # fmt: skip
ASKED = Asked(TOOLS, {"tools": TOOLS.kept}, packed=True)
ANSWERED: list[Delta] = [
    Text("Let "), Text("me."), ToolStart(0, "c1", "f"), ToolArguments(0, '{"a"'),
    ToolArguments(0, ":1}"), Finish("tool_calls"), Usage(7, 3, 2, 1), Ended(),
]  # fmt: skip


def call(dialect: Dialect) -> Call:
    asked = ASKED if dialect is Dialect.RESPONSES else None
    return Call(dialect, "chat", stream=True, include_usage=True, raw={}, asked=asked)


def told(dialect: Dialect, deltas: list[Delta]) -> list[dict[str, Any]]:
    written = replay(deltas, writer(call(dialect), STAMP))
    return [json.loads(e.data) for e in EventDecoder().feed(written) if e.data != b"[DONE]"]


def test_an_openai_stream_is_role_text_call_fragments_finish_usage_and_done() -> None:
    written = replay(ANSWERED, writer(call(Dialect.OPENAI), STAMP))
    chunks = told(Dialect.OPENAI, ANSWERED)

    assert written.endswith(b"data: [DONE]\n\n")
    assert {(c["id"], c["created"], c["model"]) for c in chunks} == {("chatcmpl-id1", 5, "chat")}
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "Let "},
        {"content": "me."},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function",
                         "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {},
    ]  # fmt: skip
    assert [choice["finish_reason"] for choice in choices] == [None] * 6 + ["tool_calls"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 10


def test_an_anthropic_stream_has_one_block_at_a_time_and_its_usage_at_the_end() -> None:
    events = told(Dialect.ANTHROPIC, ANSWERED)

    assert [(event["type"], event.get("index")) for event in events] == [
        ("message_start", None), ("ping", None), ("content_block_start", 0),
        ("content_block_delta", 0), ("content_block_delta", 0), ("content_block_stop", 0),
        ("content_block_start", 1), ("content_block_delta", 1), ("content_block_delta", 1),
        ("content_block_stop", 1), ("message_delta", None), ("message_stop", None),
    ]  # fmt: skip
    assert events[6]["content_block"] == {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"] == {
        "input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 2,
    }  # fmt: skip


def test_a_response_tells_all_kinds_of_tokens() -> None:
    last = told(Dialect.RESPONSES, ANSWERED)[-1]

    assert last["type"] == "response.completed"
    assert last["response"]["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 10,
    }


def test_what_breaks_off_ends_in_an_error_and_in_nothing_else() -> None:
    for dialect in Dialect:
        written = writer(call(dialect), STAMP)
        begun = written.begin(Usage()) + written.write([Text("a")])
        end = written.error("api_error", "The engine's answer broke off.")
        (event,) = EventDecoder().feed(end)
        value = json.loads(event.data)

        assert b"[DONE]" not in begun + end
        assert b"message_stop" not in begun + end
        if dialect is Dialect.OPENAI:
            assert (event.name, value["error"]["type"]) == ("", "api_error")
        elif dialect is Dialect.ANTHROPIC:
            assert (event.name, value["type"]) == ("error", "error")
        else:
            assert (event.name, value["response"]["status"]) == ("response.failed", "failed")
            assert value["response"]["output"][0]["content"][0]["text"] == "a"


# Anything that an engine may say: slots start once, and are told of afterwards.
SLOTS = st.integers(0, 3)
WORDS = st.text(min_size=1, max_size=5)
PIECES = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Thinking, WORDS),
    st.builds(Signature, st.just("sig")),
    st.builds(
        ToolStart, SLOTS, st.sampled_from(["", "id"]), st.sampled_from(["f", "c", "n__f", "x"])
    ),
    st.builds(ToolArguments, SLOTS, WORDS),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Delta]:
    begun: set[int] = set()
    deltas: list[Delta] = []
    for piece in draw(st.lists(PIECES, max_size=12)):
        if isinstance(piece, ToolStart):
            if piece.slot in begun:
                continue
            begun.add(piece.slot)
        elif isinstance(piece, ToolArguments) and piece.slot not in begun:
            continue
        deltas.append(piece)
    reason = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    return [*deltas, Finish(reason), Ended()]


def joined(response: dict[str, Any], kind: str, part: str) -> str:
    found = [item for item in response["output"] if item["type"] == kind]
    return "".join(piece["text"] for item in found for piece in item.get(part) or ())


@settings(deadline=None)
@given(answers())
def test_a_response_stream_says_one_thing_three_times(deltas: list[Delta]) -> None:
    events = told(Dialect.RESPONSES, deltas)
    final = events[-1]["response"]
    done = {
        e["output_index"]: e["item"] for e in events if e["type"] == "response.output_item.done"
    }
    added = [e for e in events if e["type"] == "response.output_item.added"]
    answer = Answer()
    answer.extend(deltas)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    assert [event["output_index"] for event in added] == list(range(len(added)))
    assert len({item["id"] for item in done.values()}) == len(added) == len(final["output"])
    for index, item in enumerate(final["output"]):
        assert {**done[index], "status": 0} == {**item, "status": 0}
    for kind, text in (("message", answer.text), ("reasoning", answer.thinking)):
        assert joined(final, kind, "content") == text
        said = "output_text" if kind == "message" else "reasoning_text"
        pieces = [e["delta"] for e in events if e["type"] == f"response.{said}.delta"]
        assert "".join(pieces) == text
    for item in final["output"]:
        told_of = [e for e in events if e.get("item_id") == item["id"] and "delta" in e["type"]]
        if item["type"] == "function_call" and told_of:
            assert "".join(event["delta"] for event in told_of) == item["arguments"]


@settings(deadline=None)
@given(answers())
def test_a_whole_response_says_what_a_streamed_one_does_and_the_client_reads_both(
    deltas: list[Delta],
) -> None:
    answer = Answer()
    answer.extend(deltas)
    whole = json.loads(recode.render(call(Dialect.RESPONSES), answer, STAMP))
    streamed = told(Dialect.RESPONSES, deltas)[-1]["response"]

    assert whole["status"] == streamed["status"]
    for response in (whole, streamed):
        assert joined(response, "message", "content") == answer.text
        assert joined(response, "reasoning", "content") == answer.thinking
        calls = [item for item in response["output"] if item["type"].endswith("_call")]
        assert len(calls) == len(answer.calls)
        read = openai._models.construct_type(type_=Response, value=response)
        assert isinstance(read, Response)
        assert read.output_text == answer.text


@settings(deadline=None)
@given(answers())
def test_an_anthropic_stream_never_overlaps_its_blocks(deltas: list[Delta]) -> None:
    now: int | None = None
    begun = 0
    for event in told(Dialect.ANTHROPIC, deltas):
        if event["type"] == "content_block_start":
            assert now is None
            assert event["index"] == begun
            now, begun = begun, begun + 1
        elif event["type"] == "content_block_delta":
            assert event["index"] == now
        elif event["type"] == "content_block_stop":
            assert event["index"] == now
            now = None
    assert now is None
