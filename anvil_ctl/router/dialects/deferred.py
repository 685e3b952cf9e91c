"""Tools that an agent defers: declared, and shown to the model once a tool's result refers to them.

Anthropic's service puts such a tool where it is referred to. A chat engine knows tools in one place
only, before the conversation, so there they go: behind all others and in the order in which they
were referred to, which changes as little of the beginning as can be.
"""

from __future__ import annotations

from collections.abc import Iterator

from anvil_ctl.router.dialects.blocks import objects, reference_text, string
from anvil_ctl.router.dialects.call import JSON

_KEY = "defer_loading"


def offered(raw: JSON) -> list[JSON]:
    """The tools that the model may see now, without the mark of those that were deferred."""
    tools = objects(raw.get("tools"))
    deferred = {string(tool.get("name")): tool for tool in tools if tool.get(_KEY) is True}
    if not deferred:
        return tools
    shown = [tool for tool in tools if tool.get(_KEY) is not True]
    for name in dict.fromkeys(_referred_to(raw.get("messages"))):
        if name in deferred:
            shown.append({key: value for key, value in deferred[name].items() if key != _KEY})
    return shown


def told(messages: object) -> list[JSON]:
    """The messages with each reference in words, for engines that don't know the block."""
    return [_told(message) for message in objects(messages)]


def _told(message: JSON) -> JSON:
    if not any(_references(block) for block in objects(message.get("content"))):
        return message
    blocks = [
        {**block, "content": [_in_words(part) for part in objects(block.get("content"))]}
        if any(_references(block))
        else block
        for block in objects(message.get("content"))
    ]
    return {**message, "content": blocks}


def _in_words(part: JSON) -> JSON:
    if part.get("type") != "tool_reference":
        return part
    return {"type": "text", "text": reference_text(part)}


def _referred_to(messages: object) -> Iterator[str]:
    for message in objects(messages):
        for block in objects(message.get("content")):
            for reference in _references(block):
                yield string(reference.get("tool_name"))


def _references(block: JSON) -> list[JSON]:
    if block.get("type") != "tool_result":
        return []
    return [p for p in objects(block.get("content")) if p.get("type") == "tool_reference"]
