"""The format that an answer was asked for in, across dialects."""

from __future__ import annotations

import json

import pytest

from anvil_ctl.router.dialects import recode
from anvil_ctl.router.dialects.answer import Answer
from anvil_ctl.router.dialects.call import JSON, BadRequestError, Call
from anvil_ctl.router.dialects.to_anthropic import ANSWER
from anvil_ctl.router.dialects.upstream_body import Target, answers_by_tool
from tests.unit.router import doubles
from tests.unit.router.dialects.sending import ANTHROPIC, OPENAI, STAMP, USER, sent

SCHEMA: JSON = {"type": "object", "properties": {"a": {"type": "integer"}}}
SHAPED: JSON = {
    "messages": [USER],
    "max_tokens": 5000,
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
}


def test_a_service_that_takes_schemas_gets_the_schema() -> None:
    body = sent(SHAPED, OPENAI, ANTHROPIC, schemas=True)

    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert "tools" not in body


@pytest.mark.parametrize(
    ("shape", "schema"),
    [(SHAPED["response_format"], SCHEMA), ({"type": "json_object"}, {"type": "object"})],
)
def test_any_other_is_made_to_call_a_tool_whose_input_is_the_answer(
    shape: object, schema: object
) -> None:
    body = sent({**SHAPED, "response_format": shape}, OPENAI, ANTHROPIC)
    tools = body["tools"]
    assert isinstance(tools, list)

    assert [(tool["name"], tool["input_schema"]) for tool in tools] == [(ANSWER, schema)]
    assert body["tool_choice"] == {"type": "tool", "name": ANSWER}
    assert "thinking" not in body


def test_beside_tools_of_the_callers_own_a_format_cannot_be_kept() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]

    with pytest.raises(BadRequestError, match="response_format"):
        sent({**SHAPED, "tools": tools}, OPENAI, ANTHROPIC)


@pytest.mark.parametrize("key", ["output_config", "output_format"])
def test_anthropics_format_is_asked_of_a_chat_engine(key: str) -> None:
    shape = {"type": "json_schema", "schema": SCHEMA}
    asked = {"output_config": {"format": shape}} if key == "output_config" else {key: shape}
    body = sent({"messages": [USER], "max_tokens": 9, **asked}, ANTHROPIC, OPENAI)

    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }


FORCED: JSON = {"type": "tool_use", "id": "t", "name": ANSWER, "input": {}}


def test_the_answering_tools_input_is_the_answers_text() -> None:
    fragments: list[JSON] = [
        {"type": "input_json_delta", "partial_json": '{"a":'},
        {"type": "input_json_delta", "partial_json": " 1}"},
    ]
    stream = b"".join(doubles.anthropic_events((FORCED, fragments), stop="tool_use"))
    call = Call(OPENAI, "chat", stream=True, include_usage=False, raw=SHAPED)
    writer = recode.writer(call, STAMP)
    out = recode.Translate(ANTHROPIC, writer, answer=ANSWER)
    told = out.feed(stream) + out.finish()
    whole = recode.reader(ANTHROPIC, answer=ANSWER).whole(
        json.dumps({
            "content": [{**FORCED, "input": {"a": 1}}], "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }).encode()
    )  # fmt: skip
    answer = Answer()
    answer.extend(whole)

    assert answers_by_tool(call, Target(ANTHROPIC, "m", True))
    assert not answers_by_tool(call, Target(ANTHROPIC, "m", True, schemas=True))
    assert not answers_by_tool(call, Target(OPENAI, "m", True))
    back = recode.Collect(OPENAI)
    back.feed(told)
    back.finish()
    assert (back.answer.text, back.answer.reason, back.answer.calls) == ('{"a": 1}', "stop", [])
    assert (json.loads(answer.text), answer.calls) == ({"a": 1}, [])
