"""An Anthropic request as an OpenAI one."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from anvil_ctl.router.dialects import deferred, prefix
from anvil_ctl.router.dialects.blocks import copy_present, number, objects, string, text_of
from anvil_ctl.router.dialects.call import JSON
from anvil_ctl.router.dialects.chat import EFFORTS, merged, remembered

_TOOL_CHOICES: dict[str, str] = {"auto": "auto", "any": "required", "none": "none"}
# Thinking budgets, in tokens, up to which an effort is called low or medium.
_LOW, _MEDIUM = 2048, 8192


def translate(raw: JSON, *, local: bool) -> JSON:
    """The request in OpenAI's words. `local` engines know more than those: `top_k`, a chat
    template's argument that switches thinking on and off, and a model's earlier thoughts."""
    messages = [*_system(raw), *merged(_messages(raw, thinks=local))]
    last = messages[-1] if messages else {}
    begun = last.get("role") == "assistant" and not last.get("tool_calls")
    if begun and not last.get("content"):
        # Nothing was begun; chat templates would leave out the start of the answer too.
        messages.pop()
        begun = False
    body: JSON = {"messages": messages}
    copy_present(raw, body, "max_tokens", "temperature", "top_p", "stream")
    if local:
        copy_present(raw, body, "top_k")
    if raw.get("stop_sequences"):
        body["stop"] = raw["stop_sequences"]
    tools = [_tool(tool) for tool in deferred.offered(raw) if _is_own(tool)]
    if tools:
        body["tools"] = tools
        _choose(raw, body)
    _think(raw, body, local)
    if begun and local:
        # In Anthropic's dialect the answer goes on where a last message of the model's ends.
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
        body["chat_template_kwargs"] = {"enable_thinking": False}
    _shape(raw, body)
    return body


def _system(raw: JSON) -> Iterator[JSON]:
    leading, _turns = prefix.split_system(raw.get("messages"))
    texts = [text_of(prefix.system(raw.get("system")), "\n\n"), *leading]
    if any(texts):
        yield {"role": "system", "content": "\n\n".join(text for text in texts if text)}


def _messages(raw: JSON, *, thinks: bool) -> Iterator[JSON]:
    known: set[str] = set()
    _leading, turns = prefix.split_system(raw.get("messages"))
    for message in turns:
        content = message.get("content")
        if isinstance(content, str):
            yield {"role": message.get("role"), "content": content}
        elif message.get("role") == "assistant":
            yield _assistant(content, known, thinks=thinks)
        else:
            yield from _user(string(message.get("role")), content, known)


def _assistant(content: object, known: set[str], *, thinks: bool) -> JSON:
    calls: list[JSON] = []
    texts: list[str] = []
    thoughts: list[str] = []
    for block in objects(content):
        if block.get("type") == "tool_use":
            call_id = string(block.get("id")) or f"call_{len(known)}"
            known.add(call_id)
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            function: JSON = {"name": string(block.get("name")), "arguments": arguments}
            calls.append({"id": call_id, "type": "function", "function": function})
        elif block.get("type") == "text":
            texts.append(string(block.get("text")))
        elif block.get("type") == "thinking":
            thoughts.append(string(block.get("thinking")))
    message: JSON = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    if thinks and any(thoughts):
        message.update(remembered("".join(thoughts)))
    return message


def _user(role: str, content: object, known: set[str]) -> Iterator[JSON]:
    """Tool results become messages of their own, and stand before what the user said."""
    parts: list[JSON] = []
    for block in objects(content):
        kind = block.get("type")
        if kind == "tool_result":
            text, images = _result(block)
            call_id = string(block.get("tool_use_id"))
            if call_id in known:
                yield {"role": "tool", "tool_call_id": call_id, "content": text}
            else:
                # Strict engines refuse a result that answers no call in the conversation.
                parts.append({"type": "text", "text": f"Tool result: {text}"})
            parts += images
        elif kind == "text":
            parts.append({"type": "text", "text": string(block.get("text"))})
        elif kind == "image":
            parts += _image(block)
        elif kind in ("document", "search_result"):
            parts.append({"type": "text", "text": text_of([block])})
    if not parts:
        return
    if all(part["type"] == "text" for part in parts):
        yield {"role": role, "content": "\n".join(string(part["text"]) for part in parts)}
    else:
        yield {"role": role, "content": parts}


def _result(block: JSON) -> tuple[str, list[JSON]]:
    content = block.get("content")
    images = [
        image
        for inner in objects(content)
        if inner.get("type") == "image"
        for image in _image(inner)
    ]
    text = text_of(content, "\n")
    if images:
        text = f"{text}\n[image below]".strip()
    return (f"Error: {text}" if block.get("is_error") is True else text), images


def _image(block: JSON) -> list[JSON]:
    source = block.get("source")
    if not isinstance(source, dict):
        return []
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    else:
        url = string(source.get("url"))
    return [{"type": "image_url", "image_url": {"url": url}}] if url else []


def _is_own(tool: JSON) -> bool:
    """Tools with another type run on Anthropic's servers; no engine here has them."""
    return bool(string(tool.get("name"))) and tool.get("type") in (None, "custom")


def _tool(tool: JSON) -> JSON:
    function: JSON = {"name": tool["name"]}
    copy_present(tool, function, "description", "strict")
    function["parameters"] = tool.get("input_schema") or {"type": "object"}
    return {"type": "function", "function": function}


def _choose(raw: JSON, body: JSON) -> None:
    choice = raw.get("tool_choice")
    if not isinstance(choice, dict):
        return
    kind = string(choice.get("type"))
    if kind in _TOOL_CHOICES:
        body["tool_choice"] = _TOOL_CHOICES[kind]
    elif kind == "tool" and choice.get("name"):
        body["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    if choice.get("disable_parallel_tool_use") is True:
        body["parallel_tool_calls"] = False


def _shape(raw: JSON, body: JSON) -> None:
    """The format that the answer must have: `output_config.format`, or its older name."""
    asked = raw.get("output_config")
    shape = asked.get("format") if isinstance(asked, dict) else None
    shape = shape if isinstance(shape, dict) else raw.get("output_format")
    if isinstance(shape, dict) and shape.get("type") == "json_schema":
        schema: JSON = {"name": "answer", "schema": shape.get("schema"), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _think(raw: JSON, body: JSON, local: bool) -> None:
    asked = raw.get("output_config")
    effort = string(asked.get("effort")) if isinstance(asked, dict) else ""
    if effort:
        body["reasoning_effort"] = EFFORTS.get(effort, effort)
    thinking = raw.get("thinking")
    if not isinstance(thinking, dict):
        return
    enabled = thinking.get("type") in ("enabled", "adaptive")
    budget = number(thinking.get("budget_tokens"))
    if enabled and budget is not None and not effort:
        body["reasoning_effort"] = (
            "low" if budget <= _LOW else "medium" if budget <= _MEDIUM else "high"
        )
    if local:
        body["chat_template_kwargs"] = {"enable_thinking": enabled}
