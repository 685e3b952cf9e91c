"""How large a request is taken to be."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router.judgement.reading import read
from anvil_ctl.router.judgement.size import measure


@pytest.mark.parametrize(
    ("text", "lower"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("one two  three\n\tfour ", 4, id="words"),
        pytest.param("   ", 0, id="spaces"),
        pytest.param("x" * 600, 100, id="one-long-run-of-code"),
        pytest.param("你" * 100, 60, id="chinese"),
        pytest.param("こんにちは世界" * 10, 42, id="japanese"),
        pytest.param("안녕하세요" * 20, 60, id="korean"),
        pytest.param("слово " * 10, 10, id="cyrillic"),
    ],
)
def test_the_bound_is_words_or_what_characters_come_to_at_least(text: str, lower: int) -> None:
    assert measure(text.encode()).lower == lower


@given(st.text(max_size=400))
def test_words_are_never_undercounted_and_the_guess_is_never_under_the_bound(text: str) -> None:
    size = measure(text.encode("utf-8", "replace"))

    assert size.lower >= len(text.encode("utf-8", "replace").split())
    assert size.expected >= size.lower


@given(st.text(max_size=100), st.text(max_size=100))
def test_more_text_is_never_smaller(first: str, second: str) -> None:
    short = measure(first.encode())
    long = measure((first + second).encode())

    assert short.lower <= long.lower
    assert short.expected <= long.expected


def test_everything_that_reaches_the_model_counts() -> None:
    thousand = "word " * 1000
    bodies: list[dict[str, object]] = [
        {"system": thousand},
        {"system": [{"type": "text", "text": thousand}]},
        {"messages": [{"role": "user", "content": thousand}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": thousand}]}]},
        {"messages": [{"role": "tool", "content": thousand}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": thousand}]}]},
        {"messages": [{"role": "user", "content": [
            {"type": "tool_result", "content": [{"type": "text", "text": thousand}]}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [
            {"function": {"name": "f", "arguments": json.dumps({"a": thousand})}}]}]},
        {"messages": [{"role": "assistant", "content": [
            {"type": "tool_use", "name": "f", "input": {"a": thousand}}]}]},
        {"messages": [{"role": "assistant", "content": [
            {"type": "thinking", "thinking": thousand}]}]},
        {"messages": [{"role": "user", "content": [
            {"type": "document", "source": {"type": "text", "data": thousand}}]}]},
        {"tools": [{"name": "f", "description": thousand}]},
    ]  # fmt: skip

    for raw in bodies:
        assert 1000 <= read(raw).total.lower <= 1010, raw


def test_definitions_of_tools_are_no_part_of_the_conversation() -> None:
    reading = read({"messages": [], "tools": [{"description": "word " * 500}]})

    assert reading.conversation.lower == 0
    assert reading.total.lower >= 500


def test_a_picture_counts_as_a_picture_and_not_by_its_base64() -> None:
    data = "A" * 1_000_000
    openai = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    anthropic = {"type": "image", "source": {"type": "base64", "data": data}}

    for block in (openai, anthropic):
        size = read({"messages": [{"role": "user", "content": [block]}]}).total
        assert size == measure(b"", messages=1, images=1)


def test_a_megabyte_is_measured_in_a_few_milliseconds() -> None:
    raw: dict[str, object] = {
        "messages": [{"role": "user", "content": "some words of text " * 52_000}]
    }
    took = []
    for _ in range(5):
        began = time.perf_counter()
        read(raw)
        took.append(time.perf_counter() - began)

    # 2 ms on the machine that this was written on; the rest is room for a busy one.
    assert min(took) < 0.02


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "tool_calls", "function", "input", "source",
                 "thinking", "messages", "system", "tools", "name", "arguments", "data"]),
            inner, max_size=5)
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["messages", "system", "tools", "thinking", "voice",
                                        "response_format", "output_config"]), JSON))  # fmt: skip
def test_no_shape_of_body_is_too_strange_to_read(raw: dict[str, object]) -> None:
    reading = read(raw)

    assert 0 <= reading.conversation.lower <= reading.total.expected
