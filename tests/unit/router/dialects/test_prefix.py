"""What two requests of one agent have in common at their beginning, they have in common for an engine."""

from __future__ import annotations

import json

import pytest

from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects.blocks import objects
from anvil_ctl.router.dialects.call import JSON, Dialect
from anvil_ctl.router.dialects.upstream_body import Target, build

# The form in which Claude Code 2.1 sends its first requests.
ENVIRONMENT = "# Environment\nYou have been invoked here."
REMINDER = f"<system-reminder>\n{ENVIRONMENT}\n</system-reminder>"
ASK: JSON = {"role": "user", "content": [
    {"type": "text", "text": "<system-reminder>be kind</system-reminder>"},
    {"type": "text", "text": "run echo hi"}]}  # fmt: skip
CALLED: JSON = {"role": "assistant", "content": [
    {"type": "thinking", "thinking": "hm", "signature": ""},
    {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "echo hi"}}]}  # fmt: skip
RESULT: JSON = {"role": "user", "content": [
    {"type": "tool_result", "tool_use_id": "t1", "content": "hi", "is_error": False,
     "cache_control": {"type": "ephemeral"}}]}  # fmt: skip


def request(version: str, *messages: JSON) -> bytes:
    return json.dumps({
        "model": "chat", "max_tokens": 100, "messages": messages,
        "system": [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version={version}; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be careful."}],
        "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
    }).encode()  # fmt: skip


FIRST = request(
    "2.1.1.e8f", ASK,
    {"role": "system", "content": [
        {"type": "text", "text": ENVIRONMENT, "cache_control": {"type": "ephemeral"}}]},
)  # fmt: skip
SECOND = request(
    "2.1.1.54f", ASK, {"role": "system", "content": ENVIRONMENT}, CALLED, RESULT,
)  # fmt: skip


def sent(body: bytes, dialect: Dialect, *, local: bool = True) -> JSON:
    call = calls.parse(Dialect.ANTHROPIC, body)
    value = json.loads(build(call, Target(dialect, "m", local), stream=True))
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("dialect", [Dialect.OPENAI, Dialect.ANTHROPIC])
def test_the_second_turn_begins_with_the_whole_first_one(dialect: Dialect) -> None:
    first, second = sent(FIRST, dialect), sent(SECOND, dialect)

    assert first.get("system") == second.get("system")
    assert first["tools"] == second["tools"]
    before, after = first["messages"], second["messages"]
    assert isinstance(before, list)
    assert isinstance(after, list)
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2
    assert "billing" not in json.dumps([first, second])


def test_a_chat_engine_gets_one_system_message_and_turns_that_alternate() -> None:
    messages = sent(SECOND, Dialect.OPENAI)["messages"]

    assert messages == [
        {"role": "system", "content": "You are an agent.\n\nBe careful."},
        {"role": "user",
         "content": f"<system-reminder>be kind</system-reminder>\n{REMINDER}\nrun echo hi"},
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "t1", "type": "function",
                         "function": {"name": "Bash", "arguments": '{"command":"echo hi"}'}}],
         "reasoning_content": "hm", "reasoning": "hm"},
        {"role": "tool", "tool_call_id": "t1", "content": "hi"},
    ]  # fmt: skip


def test_a_local_anthropic_engine_gets_users_and_assistants_only() -> None:
    body = sent(SECOND, Dialect.ANTHROPIC)

    assert body["system"] == [
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be careful."},
    ]
    first, *rest = objects(body["messages"])
    kind, asked = objects(ASK["content"])
    assert first["content"] == [kind, {"type": "text", "text": REMINDER}, asked]
    assert rest == [CALLED, RESULT]


def test_a_system_message_before_all_others_joins_the_system_text() -> None:
    leading: JSON = {"role": "system", "content": "Be brief."}

    chat = list(objects(sent(request("1", leading, ASK), Dialect.OPENAI)["messages"]))
    assert chat[0]["content"] == "You are an agent.\n\nBe careful.\n\nBe brief."
    own = sent(request("1", leading, ASK), Dialect.ANTHROPIC)
    assert list(objects(own["system"]))[-1] == {"type": "text", "text": "Be brief."}
    assert own["messages"] == [ASK]


def test_a_system_message_after_others_stays_where_it_is() -> None:
    later: JSON = {"role": "system", "content": "Now be brief."}
    told = "<system-reminder>\nNow be brief.\n</system-reminder>"
    body = request("1", ASK, CALLED, RESULT, later, {"role": "user", "content": "go on"})

    chat = sent(body, Dialect.OPENAI)["messages"]
    assert isinstance(chat, list)
    assert chat[-1] == {"role": "user", "content": f"{told}\n\ngo on"}
    blocks = sent(body, Dialect.ANTHROPIC)["messages"]
    assert isinstance(blocks, list)
    assert [message["role"] for message in blocks] == ["user", "assistant", "user"]
    assert [block["type"] for block in blocks[-1]["content"]] == ["tool_result", "text", "text"]


def test_anthropics_own_service_gets_what_was_sent() -> None:
    asked = json.loads(FIRST)
    body = sent(FIRST, Dialect.ANTHROPIC, local=False)

    assert (body["system"], body["messages"]) == (asked["system"], asked["messages"])


@pytest.mark.parametrize(
    ("system", "left"),
    [
        ("x-anthropic-billing-header: a=1;\n\nYou are.", "You are."),
        ("x-anthropic-billing-header: a=1;", None),
        ([{"type": "text", "text": "x-anthropic-billing-header: a=1;\nYou are."}],
         [{"type": "text", "text": "You are."}]),
        ([{"type": "text", "text": "x-anthropic-billing-header: a=1;"}], None),
        ("See x-anthropic-billing-header: a=1;", "See x-anthropic-billing-header: a=1;"),
    ],
)  # fmt: skip
def test_only_the_line_itself_is_taken_out(system: object, left: object) -> None:
    body: JSON = {"model": "chat", "max_tokens": 9, "messages": [ASK], "system": system}

    assert sent(json.dumps(body).encode(), Dialect.ANTHROPIC).get("system") == left


def test_a_developers_message_is_a_system_message_to_a_local_engine() -> None:
    messages = [
        {"role": "developer", "content": "a"},
        {"role": "user", "content": "b", "name": "n"},
    ]
    call = calls.parse(Dialect.OPENAI, json.dumps({"messages": messages}).encode())
    local = json.loads(build(call, Target(Dialect.OPENAI, "m", True), stream=False))
    cloud = json.loads(build(call, Target(Dialect.OPENAI, "m", False), stream=False))

    assert local["messages"] == [{"role": "system", "content": "a"}, messages[1]]
    assert cloud["messages"] == messages
