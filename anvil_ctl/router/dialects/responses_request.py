"""An OpenAI Responses request, checked and put in the words of a chat.

The stateless part of the API: nothing is stored, so nothing can be referred to later.
"""

from __future__ import annotations

from anvil_ctl.router.dialects import responses_history
from anvil_ctl.router.dialects.blocks import copy_present, string
from anvil_ctl.router.dialects.call import (
    JSON,
    BadRequestError,
    Call,
    Dialect,
    check_counts,
    check_sampling,
    model_of,
    read_object,
)
from anvil_ctl.router.dialects.responses_tools import Toolbox
from anvil_ctl.router.dialects.responses_writer import Asked

_NEEDS_A_STORE = ("previous_response_id", "conversation", "prompt")
_TYPES: dict[str, tuple[type, str]] = {
    "store": (bool, "a boolean"),
    "background": (bool, "a boolean"),
    "stream": (bool, "a boolean"),
    "parallel_tool_calls": (bool, "a boolean"),
    "instructions": (str, "a string"),
    "tools": (list, "a list"),
    "reasoning": (dict, "an object"),
    "text": (dict, "an object"),
}
_SAME = ("temperature", "top_p", "parallel_tool_calls", "user", "prompt_cache_key")
_ECHOED = (
    "instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "reasoning",
    "temperature", "text", "tool_choice", "top_p", "truncation", "user", "prompt_cache_key",
    "safety_identifier", "service_tier",
)  # fmt: skip


def parse(body: bytes) -> Call:
    """Read a request body. Raises BadRequestError naming the field."""
    raw = read_object(body)
    _check(raw)
    tools = Toolbox(raw.get("tools"))
    chat = _chat(raw, tools)
    echo: JSON = {key: raw[key] for key in _ECHOED if raw.get(key) is not None}
    echo["tools"] = tools.kept
    include = raw.get("include")
    packed = isinstance(include, list) and "reasoning.encrypted_content" in include
    model = model_of(raw)
    asked = Asked(tools, echo, packed=packed)
    return Call(Dialect.RESPONSES, model, raw.get("stream") is True, False, chat, asked)


def _check(raw: JSON) -> None:
    for key in _NEEDS_A_STORE:
        if raw.get(key) is not None:
            raise BadRequestError(
                f"{key}: nothing is stored here; send the whole conversation as input",
                kind="unsupported_parameter",
            )
    for key in ("store", "background"):
        if raw.get(key) is True:
            raise BadRequestError(f"{key}: only false is supported", kind="unsupported_parameter")
    for key, (kind, name) in _TYPES.items():
        if not isinstance(raw.get(key), kind | None):
            raise BadRequestError(f"{key}: must be {name}")
    _check_input(raw.get("input"))
    check_counts(raw, "max_output_tokens")
    check_sampling(raw, hottest=2.0)


def _check_input(given: object) -> None:
    if not isinstance(given, str | list) or not given:
        raise BadRequestError("input: must be a string or a list with at least one item")
    for number, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            raise BadRequestError(f"input.{number}: must be an object")


def _chat(raw: JSON, tools: Toolbox) -> JSON:
    chat: JSON = {
        "model": model_of(raw),
        "messages": responses_history.messages(raw.get("instructions"), raw["input"], tools),
    }
    copy_present(raw, chat, *_SAME)
    if raw.get("max_output_tokens") is not None:
        chat["max_tokens"] = raw["max_output_tokens"]
    choice = tools.choice(raw.get("tool_choice"))
    if tools.functions:
        chat["tools"] = tools.functions
        if choice is not None:
            chat["tool_choice"] = choice
    else:
        chat.pop("parallel_tool_calls", None)
    reasoning = raw.get("reasoning")
    if isinstance(reasoning, dict) and string(reasoning.get("effort")):
        chat["reasoning_effort"] = reasoning["effort"]
    text = raw.get("text")
    if isinstance(text, dict):
        _shape(text, chat)
    return chat


def _shape(text: JSON, chat: JSON) -> None:
    copy_present(text, chat, "verbosity")
    shape = text.get("format")
    if not isinstance(shape, dict | None):
        raise BadRequestError("text.format: must be an object")
    if shape is None or shape.get("type") in (None, "text"):
        return
    if shape["type"] == "json_schema":
        schema: JSON = {}
        copy_present(shape, schema, "name", "description", "schema", "strict")
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif shape["type"] == "json_object":
        chat["response_format"] = {"type": "json_object"}
    else:
        raise BadRequestError(f"text.format.type: {shape['type']!r} is not supported")
