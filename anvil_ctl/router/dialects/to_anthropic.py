"""An OpenAI request as an Anthropic one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from anvil_ctl.router.dialects.anthropic_writer import arguments_object
from anvil_ctl.router.dialects.blocks import copy_present, number, objects, string, text_of
from anvil_ctl.router.dialects.call import JSON, BadRequestError
from anvil_ctl.router.dialects.chat import SIGNATURE

ANSWER = "give_answer"
_SYSTEM = ("system", "developer")
_TOOL_CHOICES: dict[str, str] = {"auto": "auto", "required": "any", "none": "none"}
_BUDGETS = {"low": 1024, "medium": 4096, "high": 16384, "xhigh": 16384}
_LEAST_BUDGET = 1024
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)


def translate(raw: JSON, *, max_tokens: int, local: bool = True, schemas: bool = False) -> JSON:
    """The request in Anthropic's words; `max_tokens` applies where the caller set no bound.

    `local` engines take a model's earlier thoughts as they are, the service itself only signed.
    `schemas`: the service takes a JSON schema for its answer. One that doesn't is made to call a
    tool whose input is the answer, `ANSWER`. Raises BadRequestError where that can't be.
    """
    turns = _messages(raw, local=local)
    messages = _merged(turns if local else _without_blank(turns))
    if not local:
        _trim_begun(messages)
    body: JSON = {"messages": messages}
    asked = raw.get("max_completion_tokens") or raw.get("max_tokens")
    body["max_tokens"] = asked or max_tokens
    system = [
        text_of(message.get("content"))
        for message in objects(raw.get("messages"))
        if message.get("role") in _SYSTEM
    ]
    if any(system):
        body["system"] = "\n\n".join(text for text in system if text)
    copy_present(raw, body, "top_p", "top_k", "stream")
    temperature = number(raw.get("temperature"))
    if temperature is not None:
        body["temperature"] = min(1.0, temperature)
    stop = raw.get("stop")
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    tools = [_tool(tool) for tool in objects(raw.get("tools")) if _function(tool).get("name")]
    if tools:
        body["tools"] = tools
        _choose(raw, body)
    _think(raw, body, local=local)
    _shape(raw, body, schemas=schemas)
    return body


def asks_for_answer(raw: JSON, *, schemas: bool) -> bool:
    """Whether the translated request forces the tool `ANSWER`, so that its input is the answer."""
    return _schema(raw) is not None and not schemas


def _past_thinking(messages: object, *, local: bool) -> bool:
    """Whether the model can no longer be told to think: its answer has begun, or it stands between
    a call and its result, where the service wants the thoughts before the call, signed."""
    none: JSON = {}
    *_, call, last = [none, none, *objects(messages)]
    if last.get("role") == "assistant":
        return True
    answers = any(block.get("type") == "tool_result" for block in objects(last.get("content")))
    thinks = any(block.get("type") == "thinking" for block in objects(call.get("content")))
    return not local and answers and not thinks


def _messages(raw: JSON, *, local: bool) -> Iterator[tuple[str, list[JSON]]]:
    """(role, blocks) of each turn, not yet merged."""
    known: set[str] = set()
    for message in objects(raw.get("messages")):
        role = message.get("role")
        if role in _SYSTEM:
            continue
        if role in ("tool", "function"):
            yield "user", [_result(message, known)]
        elif role == "assistant":
            yield "assistant", [*_thoughts(message, local=local), *_assistant(message, known)]
        else:
            yield "user", list(_parts(message.get("content")))


def _without_blank(
    turns: Iterator[tuple[str, list[JSON]]],
) -> Iterator[tuple[str, list[JSON]]]:
    """Anthropic's service refuses text that is nothing but white space, which local models like to
    say before a call."""
    for role, blocks in turns:
        yield role, [b for b in blocks if b["type"] != "text" or string(b["text"]).strip()]


def _merged(turns: Iterator[tuple[str, list[JSON]]]) -> list[JSON]:
    """Turns of one role that follow each other are one: strict endpoints want them to alternate."""
    messages: list[JSON] = []
    blocks: list[JSON] = []
    for role, new in turns:
        if not new:
            continue
        if messages and messages[-1]["role"] == role:
            blocks += new
        else:
            blocks = list(new)
            messages.append({"role": role, "content": blocks})
    return messages


def _trim_begun(messages: list[JSON]) -> None:
    """Anthropic's service refuses a beginning of its answer that ends in white space."""
    if messages and messages[-1]["role"] == "assistant":
        *_, last = objects(messages[-1]["content"])
        if last["type"] == "text":
            last["text"] = string(last["text"]).rstrip()


def _thoughts(message: JSON, *, local: bool) -> Iterator[JSON]:
    thoughts, signature = string(message.get("reasoning_content")), string(message.get(SIGNATURE))
    if thoughts and (local or signature):
        yield {"type": "thinking", "thinking": thoughts, "signature": signature}


def _assistant(message: JSON, known: set[str]) -> list[JSON]:
    content = message.get("content")
    if isinstance(content, list):
        # What other services' models said beside text means nothing to this one.
        content = [part for part in objects(content) if part.get("type") in ("text", "refusal")]
    blocks = list(_parts(content))
    for call in objects(message.get("tool_calls")):
        function = call.get("function")
        if not isinstance(function, dict) or not string(function.get("name")):
            continue
        call_id = string(call.get("id")) or f"toolu_{len(known)}"
        known.add(call_id)
        given = arguments_object(string(function.get("arguments")))
        name = function["name"]
        blocks.append({"type": "tool_use", "id": call_id, "name": name, "input": given})
    return blocks


def _result(message: JSON, known: set[str]) -> JSON:
    call_id = string(message.get("tool_call_id"))
    parts = list(_parts(message.get("content")))
    if call_id not in known:
        text = text_of(message.get("content"))
        return {"type": "text", "text": f"Tool result: {text}"}
    return {"type": "tool_result", "tool_use_id": call_id, "content": parts}


def _parts(content: object) -> Iterator[JSON]:
    if isinstance(content, str):
        if content:
            yield {"type": "text", "text": content}
        return
    for part in objects(content):
        kind = part.get("type")
        if kind in ("text", "refusal"):
            text = string(part.get("text")) or string(part.get("refusal"))
            if text:
                yield {"type": "text", "text": text}
        elif kind == "image_url":
            yield from _image(part.get("image_url"))
        elif kind == "file":
            yield _document(part.get("file"))
        else:
            # Leaving it out would have the model answer a question that it hasn't heard.
            raise BadRequestError(
                f"messages: this model's engine takes no content of type {string(kind)!r}"
            )


def _image(value: object) -> Iterator[JSON]:
    url = string(value.get("url")) if isinstance(value, dict) else string(value)
    found = _DATA_URI.match(url)
    if found:
        source: JSON = {"type": "base64", "media_type": found[1], "data": url[found.end() :]}
        yield {"type": "image", "source": source}
    elif url:
        yield {"type": "image", "source": {"type": "url", "url": url}}


def _document(file: object) -> JSON:
    data = string(file.get("file_data")) if isinstance(file, dict) else ""
    found = _DATA_URI.match(data)
    if not isinstance(file, dict) or found is None:
        raise BadRequestError("messages: a file must be sent whole, as a data URL in file_data")
    source: JSON = {"type": "base64", "media_type": found[1], "data": data[found.end() :]}
    document: JSON = {"type": "document", "source": source}
    if string(file.get("filename")):
        document["title"] = file["filename"]
    return document


def _function(tool: JSON) -> JSON:
    function = tool.get("function")
    return function if tool.get("type") == "function" and isinstance(function, dict) else {}


def _tool(tool: JSON) -> JSON:
    function = _function(tool)
    translated: JSON = {"name": function["name"]}
    copy_present(function, translated, "description", "strict")
    translated["input_schema"] = function.get("parameters") or {"type": "object"}
    return translated


def _choose(raw: JSON, body: JSON) -> None:
    choice = raw.get("tool_choice")
    translated: JSON = {}
    if isinstance(choice, str) and choice in _TOOL_CHOICES:
        translated = {"type": _TOOL_CHOICES[choice]}
    elif isinstance(choice, dict) and _function(choice).get("name"):
        translated = {"type": "tool", "name": _function(choice)["name"]}
    if raw.get("parallel_tool_calls") is False and translated.get("type") != "none":
        translated = {"type": "auto", **translated, "disable_parallel_tool_use": True}
    if translated:
        body["tool_choice"] = translated


def _schema(raw: JSON) -> object:
    """The schema that the answer must have; None if any text will do."""
    shape = raw.get("response_format")
    kind = shape.get("type") if isinstance(shape, dict) else None
    if not isinstance(shape, dict) or kind in (None, "text"):
        return None
    given = shape.get("json_schema")
    schema = given.get("schema") if isinstance(given, dict) else None
    return schema if kind == "json_schema" and isinstance(schema, dict) else {"type": "object"}


def _shape(raw: JSON, body: JSON, *, schemas: bool) -> None:
    schema = _schema(raw)
    if schema is None:
        return
    if schemas:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return
    if body.get("tools"):
        # Forcing one tool forbids the others; dropping the format would break a promise unnoticed.
        raise BadRequestError(
            "response_format: this model's engine cannot be held to a format beside tools"
        )
    text = "Give the answer, in this form and in no other."
    body["tools"] = [{"name": ANSWER, "description": text, "input_schema": schema}]
    body["tool_choice"] = {"type": "tool", "name": ANSWER}
    # A forced tool and thinking exclude each other.
    body.pop("thinking", None)


def _think(raw: JSON, body: JSON, *, local: bool) -> None:
    budget = _BUDGETS.get(string(raw.get("reasoning_effort")))
    most = body["max_tokens"]
    if budget is None or not isinstance(most, int) or most <= _LEAST_BUDGET:
        return
    if _past_thinking(body["messages"], local=local):
        return
    body["thinking"] = {"type": "enabled", "budget_tokens": min(budget, most - 1)}
    # With thinking on, Anthropic's API takes no sampling temperature but its own.
    body.pop("temperature", None)
