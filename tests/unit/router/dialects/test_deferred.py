"""Tools that an agent defers until they are referred to."""

from __future__ import annotations

from anvil_ctl.router.dialects.call import JSON
from tests.unit.router.dialects.sending import ANTHROPIC, OPENAI, USER, sent

DEFERRED: JSON = {
    "max_tokens": 9,
    "tools": [
        {"name": "A", "input_schema": {}},
        {"name": "Web", "input_schema": {}, "defer_loading": True},
        {"name": "Never", "input_schema": {}, "defer_loading": True},
        {"name": "Zed", "input_schema": {}},
    ],
    "messages": [
        USER,
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "t", "name": "A", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [
                {"type": "tool_reference", "tool_name": "Web"}]}]},
    ],
}  # fmt: skip


def test_a_deferred_tool_is_offered_behind_the_others_once_it_was_referred_to() -> None:
    messages = DEFERRED["messages"]
    assert isinstance(messages, list)
    before = sent({**DEFERRED, "messages": messages[:1]}, ANTHROPIC, OPENAI)["tools"]
    body = sent(DEFERRED, ANTHROPIC, OPENAI)
    after, chat = body["tools"], body["messages"]
    assert isinstance(before, list)
    assert isinstance(after, list)
    assert isinstance(chat, list)

    assert [tool["function"]["name"] for tool in before] == ["A", "Zed"]
    assert after[:2] == before
    assert [tool["function"]["name"] for tool in after[2:]] == ["Web"]
    assert chat[-1]["content"] == "The tool Web can be called now."


def test_a_local_anthropic_engine_is_told_in_words_and_the_service_itself_as_it_was_sent() -> None:
    local = sent(DEFERRED, ANTHROPIC, ANTHROPIC)
    cloud = sent(DEFERRED, ANTHROPIC, ANTHROPIC, local=False)
    messages = local["messages"]
    assert isinstance(messages, list)

    assert local["tools"] == [
        {"name": "A", "input_schema": {}},
        {"name": "Zed", "input_schema": {}},
        {"name": "Web", "input_schema": {}},
    ]
    assert messages[2]["content"][0]["content"] == [
        {"type": "text", "text": "The tool Web can be called now."}
    ]
    assert (cloud["tools"], cloud["messages"]) == (DEFERRED["tools"], DEFERRED["messages"])
