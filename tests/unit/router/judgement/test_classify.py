"""What class of work a request is taken for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router.judgement import classify as classifying
from anvil_ctl.router.judgement.classify import classify, shipped
from anvil_ctl.router.judgement.reading import read
from anvil_ctl.router.judgement.work import PRESET_OF, PRESETS, Work


def of(text: str, **more: object) -> tuple[str, bool]:
    found = classify(read({"messages": [{"role": "user", "content": text}], **more}))
    return str(found.work), found.confident


@pytest.mark.parametrize(
    ("text", "work"),
    [
        ("Please review this.", "review"),
        ("an audit of the module", "review"),
        ("plan a trip", "planning"),
        ("break\n  down the task", "planning"),
        ("a break-down of costs", "planning"),
        ("explain it step by\nstep", "planning"),
        ("refactor the auth module", "multi-file-refactor"),
        ("rename across files", "multi-file-refactor"),
        ("fixes the bug", "bounded-edit"),
        ("Fixing the bug", "bounded-edit"),
        ("I edited it; implement add a button", "bounded-edit"),
        ("FIX: это", "bounded-edit"),
    ],
)
def test_words_show_the_class(text: str, work: str) -> None:
    assert of(text) == (work, True)


@pytest.mark.parametrize(
    "text",
    ["the exchange rate", "two planes", "redesigned", "the architecture", "fix_up", "plan2",
     "add another", "break it down", "step by", "the stepped by step-child", "übplan", ""],
)  # fmt: skip
def test_parts_of_words_and_of_phrases_show_nothing(text: str) -> None:
    assert of(text) == ("chat", False)


def test_keywords_of_two_classes_give_the_more_important_and_are_not_sure() -> None:
    found = classify(read({"messages": [{"role": "user", "content": "review the plan, fix it"}]}))

    assert (found.work, found.confident) == (Work.REVIEW, False)
    assert found.keywords == ("review", "plan", "fix")


def test_the_order_of_signs() -> None:
    tools = [{"name": "f"}]
    long = "word " * 4001

    assert of("plan " + long, voice=True) == ("long-context", True)
    assert of("word " * 4000) == ("chat", False)
    assert of("plan it", modality="Voice") == ("chat-fast", True)
    assert of("plan it", modality=["voice"]) == ("planning", True)
    assert of("fix it", thinking={"type": "enabled"}, tools=tools) == ("bounded-edit", True)
    assert of("hello", thinking={"type": "enabled"}, tools=tools) == ("planning", True)
    assert of("hello", thinking={"type": "disabled"}, tools=tools) == ("bounded-edit", True)
    assert of("hello", tools=[]) == ("chat", False)


def test_a_short_system_prompt_is_looked_at_and_a_long_one_is_a_harnesss() -> None:
    assert of("hello", system="You review code.") == ("review", True)
    assert of("hello", system="You review code." + " word" * 147) == ("review", True)
    assert of("hello", system="You review code." + " word" * 148) == ("chat", False)


def test_a_turn_of_a_tool_loop_is_the_work_that_was_asked_for() -> None:
    asked: list[dict[str, object]] = [
        {"role": "user", "content": [{"type": "text", "text": "plan the migration"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {}}]},
    ]
    result = {"type": "tool_result", "content": "fix and edit"}
    note = {"type": "text", "text": "<system-reminder>review it all</system-reminder>"}

    for content in ([result], [result, note], [note]):
        raw = {"messages": [*asked, {"role": "user", "content": content}], "tools": [{"name": "f"}]}
        assert classify(read(raw)).work is Work.PLANNING


def test_a_new_wish_after_a_tool_loop_counts() -> None:
    raw: dict[str, object] = {
        "messages": [
            {"role": "user", "content": "plan the migration"},
            {"role": "tool", "content": "done"},
            {"role": "user", "content": "<system-reminder>x</system-reminder> now fix it"},
        ]
    }
    assert classify(read(raw)).work is Work.EDIT


def test_pictures_are_seen_wherever_they_are() -> None:
    image = {"type": "image", "source": {}}
    inside = {"type": "tool_result", "content": [image]}

    assert read({"messages": [{"role": "user", "content": [image]}]}).needs_vision
    assert read({"messages": [{"role": "user", "content": [inside]}]}).needs_vision
    assert not read({"messages": [{"role": "user", "content": "an image"}]}).needs_vision


def test_tools_in_the_history_are_needed_too() -> None:
    for message in (
        {"role": "tool", "content": "x"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "f"}]},
        {"role": "user", "content": [{"type": "tool_result"}]},
    ):
        assert read({"messages": [message]}).needs_tools
    assert read({"messages": [], "tool_choice": "auto"}).needs_tools
    assert not read({"messages": [{"role": "user", "content": "x"}], "tools": []}).needs_tools


@given(st.text(max_size=300))
def test_the_same_text_is_always_the_same_class(text: str) -> None:
    assert of(text) == of(text)


def test_every_keyword_of_the_file_is_found_and_means_its_class() -> None:
    path = Path(classifying.__file__).with_name("keywords.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    taxonomy = shipped()

    for name, keywords in table.items():
        for keyword in () if name.startswith("_") else keywords:
            assert (keyword, name) in taxonomy.find(f"({keyword.upper()})")


def test_every_class_has_a_preset_and_every_preset_a_class() -> None:
    assert set(PRESET_OF) == set(Work)
    assert {PRESETS[preset] for preset in PRESET_OF.values()} == set(Work) - {Work.REFACTOR}
