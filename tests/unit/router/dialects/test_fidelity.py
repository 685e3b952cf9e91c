"""What must not be lost between a caller and an engine, in the caller's own dialect and across."""

from __future__ import annotations

import json

import pytest

from anvil_ctl.router.dialects import recode
from anvil_ctl.router.dialects.answer import Answer
from anvil_ctl.router.dialects.call import JSON, BadRequestError, Call, Dialect
from anvil_ctl.router.dialects.delta import Finish, Text, ToolArguments, ToolStart, Usage
from anvil_ctl.upstream.endpoint import endpoint
from tests.unit.router.dialects.sending import ANTHROPIC, EVERYTHING, OPENAI, STAMP, USER, sent


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
def test_a_local_engine_of_the_same_dialect_gets_every_field_as_it_was_sent(
    dialect: Dialect,
) -> None:
    asked = EVERYTHING[dialect]

    assert sent(asked, dialect, dialect) == {**asked, "model": "m"}


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
def test_a_cloud_service_gets_every_field_of_its_api_and_nothing_of_the_person(
    dialect: Dialect,
) -> None:
    asked = {
        **EVERYTHING[dialect],
        "store": True,
        "prompt_cache_key": "k",
        "safety_identifier": "i",
    }
    withheld = {"user", "metadata", "an_engines_own", "store", "prompt_cache_key"}
    withheld |= {"safety_identifier"}
    expected = {key: value for key, value in asked.items() if key not in withheld}

    assert sent(asked, dialect, dialect, local=False) == {**expected, "model": "m"}


def test_what_is_for_the_router_goes_no_further() -> None:
    asked: JSON = {"messages": [USER], "signals": {}, "modality": "voice", "voice": True}

    assert set(sent(asked, OPENAI, OPENAI)) == {"model", "messages", "stream"}


@pytest.mark.parametrize("source", [OPENAI, ANTHROPIC])
def test_nothing_is_invented(source: Dialect) -> None:
    bound = {"max_tokens": 9} if source is ANTHROPIC else {}
    other = OPENAI if source is ANTHROPIC else ANTHROPIC

    assert set(sent({"messages": [USER], **bound}, source, source)) == {
        "model", "messages", "stream", *bound,
    }  # fmt: skip
    assert set(sent({"messages": [USER], **bound}, source, other)) == {
        "model", "messages", "stream", "max_tokens",
    }  # fmt: skip


@pytest.mark.parametrize(("most", "expected"), [(None, 4096), (777, 777)])
def test_anthropics_bound_is_the_tiers_own_where_the_caller_set_none(
    most: int | None, expected: int
) -> None:
    body = sent({"messages": [USER]}, OPENAI, ANTHROPIC, max_output_tokens=most)

    assert body["max_tokens"] == expected


@pytest.mark.parametrize("source", [OPENAI, ANTHROPIC])
def test_without_tools_no_choice_of_one_is_sent(source: Dialect) -> None:
    other = OPENAI if source is ANTHROPIC else ANTHROPIC
    choice: object = "required" if source is OPENAI else {"type": "any"}
    asked: JSON = {
        "messages": [USER], "max_tokens": 9, "tool_choice": choice,
        "tools": [{"type": "bash_20250124", "name": "bash"}],
    }  # fmt: skip

    assert not {"tools", "tool_choice"} & set(sent(asked, source, other))


@pytest.mark.parametrize(
    ("openai", "anthropic"),
    [
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_a_choice_of_tools_has_a_word_in_each_dialect(openai: object, anthropic: object) -> None:
    one: JSON = {"messages": [USER], "tool_choice": openai,
                 "tools": [{"type": "function", "function": {"name": "f"}}]}  # fmt: skip
    other: JSON = {"messages": [USER], "tool_choice": anthropic, "max_tokens": 9,
                   "tools": [{"name": "f", "input_schema": {}}]}  # fmt: skip

    assert sent(one, OPENAI, ANTHROPIC)["tool_choice"] == anthropic
    assert sent(other, ANTHROPIC, OPENAI)["tool_choice"] == openai


@pytest.mark.parametrize("choice", ["sometimes", {"type": "mcp"}, 5])
def test_a_choice_of_no_known_shape_is_left_out(choice: object) -> None:
    asked: JSON = {"messages": [USER], "tool_choice": choice,
                   "tools": [{"type": "function", "function": {"name": "f"}}]}  # fmt: skip

    assert "tool_choice" not in sent(asked, OPENAI, ANTHROPIC)


def test_images_are_told_in_either_form_in_both_directions() -> None:
    inline: JSON = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AA"},
    }
    linked: JSON = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    urls: list[JSON] = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]
    there = sent({"messages": [{"role": "user", "content": urls}]}, OPENAI, ANTHROPIC)
    back = sent({"messages": there["messages"], "max_tokens": 9}, ANTHROPIC, OPENAI)

    assert there["messages"] == [{"role": "user", "content": [inline, linked]}]
    assert back["messages"] == [{"role": "user", "content": urls}]


def test_documents_are_told_as_far_as_they_can_be() -> None:
    pdf: JSON = {"type": "document", "title": "a.pdf",
                 "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}  # fmt: skip
    note: JSON = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "hi"},
    }
    found: JSON = {"type": "search_result", "content": [{"type": "text", "text": "found"}]}
    read: JSON = {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "lost", "content": [pdf]}, note, found]}  # fmt: skip
    chat = sent({"messages": [read], "max_tokens": 9}, ANTHROPIC, OPENAI)["messages"]
    file: JSON = {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
    }
    back = sent({"messages": [{"role": "user", "content": [file]}]}, OPENAI, ANTHROPIC)["messages"]

    assert chat == [
        {
            "role": "user",
            "content": "Tool result: a.pdf\n[A document that this model cannot read: application/pdf]"
            "\nhi\nfound",
        }
    ]
    assert back == [{"role": "user", "content": [pdf]}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f1"}},
    ],
)
def test_what_an_anthropic_engine_cannot_hear_is_refused_and_not_left_out(part: JSON) -> None:
    with pytest.raises(BadRequestError, match="messages"):
        sent({"messages": [{"role": "user", "content": [part]}]}, OPENAI, ANTHROPIC)


def test_users_words_after_results_are_in_the_same_turn_and_both_system_prompts_survive() -> None:
    asked: JSON = {"messages": [
        {"role": "system", "content": "one"}, {"role": "developer", "content": "two"}, USER,
        {"role": "assistant", "tool_calls": [
            {"id": "", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "b", "content": "r"},
        {"role": "tool", "tool_call_id": "lost", "content": "orphan"},
        USER, {"role": "user", "content": "more"}]}  # fmt: skip
    body = sent(asked, OPENAI, ANTHROPIC)
    messages = body["messages"]
    assert isinstance(messages, list)

    assert body["system"] == "one\n\ntwo"
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [block["id"] for block in messages[1]["content"]] == ["toolu_0", "b"]
    assert [block["type"] for block in messages[2]["content"]] == [
        "tool_result", "text", "text", "text",
    ]  # fmt: skip
    assert messages[2]["content"][1]["text"] == "Tool result: orphan"


def test_between_a_call_and_its_result_the_service_is_asked_to_think_only_on_signed_thoughts() -> (
    None
):
    def thinks(local: bool, turns: int, **more: object) -> bool:
        called: JSON = {"role": "assistant", "tool_calls": [
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
        result: JSON = {"role": "tool", "tool_call_id": "b", "content": "r"}
        asked: JSON = {"reasoning_effort": "low", "max_tokens": 9000,
                       "messages": [USER, {**called, **more}, result][:turns]}  # fmt: skip
        return "thinking" in sent(asked, OPENAI, ANTHROPIC, local=local)

    assert thinks(False, 1)
    assert not thinks(False, 3)
    assert not thinks(False, 3, reasoning_content="hm")
    assert thinks(False, 3, reasoning_content="hm", reasoning_signature="s")
    assert thinks(True, 3)


# answers


@pytest.mark.parametrize(
    ("told", "reason", "sequence"),
    [
        ({"finish_reason": "stop", "stop_reason": "END"}, "stop_sequence", "END"),
        ({"finish_reason": "stop", "matched_stop": "END"}, "stop_sequence", "END"),
        ({"finish_reason": "stop", "stop_reason": 151645}, "end_turn", None),
        ({"finish_reason": "length", "matched_stop": None}, "max_tokens", None),
    ],
)
def test_the_stop_sequence_that_was_met_is_told_where_the_engine_says_it(
    told: JSON, reason: str, sequence: str | None
) -> None:
    body = {"choices": [{"message": {"content": "a"}, **told}]}
    answer = Answer()
    answer.extend(recode.reader(OPENAI).whole(json.dumps(body).encode()))
    call = Call(ANTHROPIC, "chat", stream=False, include_usage=False, raw={})
    message = json.loads(recode.render(call, answer, STAMP))

    assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)


def test_every_kind_of_input_token_is_counted() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 9,
             "output_tokens": 2}  # fmt: skip
    body = {"content": [], "stop_reason": "end_turn", "usage": usage}
    told = recode.reader(ANTHROPIC).whole(json.dumps(body).encode())

    assert Usage(84, 2, 70) in told
    chat: JSON = {"prompt_tokens": 84, "completion_tokens": 20,
                  "prompt_tokens_details": {"cached_tokens": 70},
                  "completion_tokens_details": {"reasoning_tokens": 15}}  # fmt: skip
    whole = {"choices": [{"message": {"content": ""}}], "usage": chat}
    read = recode.reader(OPENAI).whole(json.dumps(whole).encode())
    assert Usage(84, 20, 70, 15) in read


def test_calls_without_ids_get_some_that_are_different() -> None:
    answer = Answer()
    answer.extend([ToolStart(0, "", "f"), ToolArguments(0, "{}"), ToolStart(1, "", "f"),
                   Text("t"), Finish("stop")])  # fmt: skip
    for dialect, prefix in ((OPENAI, "call_"), (ANTHROPIC, "toolu_")):
        call = Call(dialect, "chat", stream=False, include_usage=False, raw={})
        told = json.loads(recode.render(call, answer, STAMP))
        if dialect is OPENAI:
            ids = [made["id"] for made in told["choices"][0]["message"]["tool_calls"]]
            assert told["choices"][0]["finish_reason"] == "tool_calls"
        else:
            ids = [block["id"] for block in told["content"] if block["type"] == "tool_use"]
            assert told["stop_reason"] == "tool_use"
        assert len(set(ids)) == 2
        assert all(made.startswith(prefix) for made in ids)


@pytest.mark.parametrize("base", ["http://e", "http://e/", "http://e/v1", "http://e/v1/"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/tokenize"])
def test_no_path_has_its_version_twice(base: str, path: str) -> None:
    assert endpoint(base, path).head.startswith(f"POST {path} HTTP/1.1\r\n".encode())
