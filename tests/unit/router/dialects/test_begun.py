"""A last message of the model's: the beginning of its answer."""

from __future__ import annotations

import pytest

from anvil_ctl.router.dialects.call import JSON, Dialect
from tests.unit.router.dialects.sending import ANTHROPIC, OPENAI, USER, sent

CALLED: JSON = {"role": "assistant", "content": "a", "tool_calls": [
    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
CONTINUED: JSON = {
    "continue_final_message": True,
    "add_generation_prompt": False,
    "chat_template_kwargs": {"enable_thinking": False},
}


def begun(text: object, **more: object) -> JSON:
    return {"messages": [USER, {"role": "assistant", "content": text}], "max_tokens": 9000, **more}


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("text", ["{", "one, two \n", ""])
def test_in_its_own_dialect_it_is_sent_as_it_came(dialect: Dialect, local: bool, text: str) -> None:
    asked = begun(text)

    assert sent(asked, dialect, dialect, local=local) == {**asked, "model": "m", "stream": False}


@pytest.mark.parametrize("text", ["one, two ", [{"type": "text", "text": "one, two "}]])
def test_a_local_chat_engine_is_told_to_go_on_from_it(text: object) -> None:
    body = sent(begun(text, thinking={"type": "adaptive"}), ANTHROPIC, OPENAI)

    assert body["messages"] == [USER, {"role": "assistant", "content": "one, two "}]
    assert CONTINUED.items() <= body.items()


def test_a_service_has_no_word_for_it_and_gets_it_as_a_message() -> None:
    body = sent(begun("one, two"), ANTHROPIC, OPENAI, local=False)

    assert body["messages"] == [USER, {"role": "assistant", "content": "one, two"}]
    assert not CONTINUED.keys() & body.keys()


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("text", ["", [], [{"type": "text", "text": ""}]])
def test_an_empty_one_begins_nothing(local: bool, text: object) -> None:
    body = sent(begun(text), ANTHROPIC, OPENAI, local=local)

    assert body["messages"] == [USER]
    assert not CONTINUED.keys() & body.keys()


@pytest.mark.parametrize(
    "last",
    [
        USER,
        {"role": "assistant", "content": [
            {"type": "text", "text": "a"}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
    ],
)  # fmt: skip
def test_what_begins_no_answer_is_not_continued(last: JSON) -> None:
    body = sent({"messages": [USER, last], "max_tokens": 9}, ANTHROPIC, OPENAI)

    assert not CONTINUED.keys() & body.keys()


@pytest.mark.parametrize(
    ("local", "text", "told"),
    [
        (False, "one, two \n", "one, two"),
        (True, "one, two \n", "one, two \n"),
        (False, "{", "{"),
        (False, " \n", None),
        (False, "", None),
        (True, "", None),
    ],
)
def test_anthropics_service_gets_it_without_the_space_at_its_end_and_without_thinking(
    local: bool, text: str, told: str | None
) -> None:
    body = sent(begun(text, reasoning_effort="low"), OPENAI, ANTHROPIC, local=local)
    messages = body["messages"]
    assert isinstance(messages, list)

    if told is None:
        assert [message["role"] for message in messages] == ["user"]
        assert "thinking" in body
    else:
        assert messages[-1] == {"role": "assistant", "content": [{"type": "text", "text": told}]}
        assert "thinking" not in body


@pytest.mark.parametrize(("local", "blocks"), [(True, ["text", "tool_use"]), (False, ["tool_use"])])
def test_the_service_gets_no_text_that_is_only_white_space(local: bool, blocks: list[str]) -> None:
    said: JSON = {**CALLED, "content": "\n\n"}
    result: JSON = {"role": "tool", "tool_call_id": "c", "content": "r"}
    body = sent({"messages": [USER, said, result]}, OPENAI, ANTHROPIC, local=local)
    messages = body["messages"]
    assert isinstance(messages, list)

    assert [block["type"] for block in messages[1]["content"]] == blocks


def test_calls_that_end_a_conversation_stay() -> None:
    body = sent({"messages": [USER, CALLED]}, OPENAI, ANTHROPIC, local=False)
    messages = body["messages"]
    assert isinstance(messages, list)

    assert [block["type"] for block in messages[-1]["content"]] == ["text", "tool_use"]
