"""What an engine's prefix cache finds: prompts laid out as chat templates do, and compared.

A radix cache knows the longest beginning that a prompt shares with one that came before. What
breaks it is anything that differs early: a header with a counter in it, tools in another order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
JSON = Mapping[str, object]


def tokens(body: JSON) -> list[str]:
    """The prompt of a chat request, in either dialect: system text, tools, messages in order."""
    return _TOKEN.findall("".join(_layout(body)))


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(_TOKEN.findall(text))


class PrefixCache:
    """Remembers prompts."""

    def __init__(self) -> None:
        self._known: list[list[str]] = []

    def take(self, prompt: list[str]) -> int:
        """How many tokens of its beginning were there already; from now on all of it is."""
        cached = max((_common(known, prompt) for known in self._known), default=0)
        self._known.append(prompt)
        return cached


def _common(known: list[str], prompt: list[str]) -> int:
    for index, (one, other) in enumerate(zip(known, prompt, strict=False)):
        if one != other:
            return index
    return min(len(known), len(prompt))


def _layout(body: JSON) -> Iterator[str]:
    messages = _list(body.get("messages"))
    first = messages[:1] if messages and messages[0].get("role") == "system" else []
    yield f"<|system|>{_content(first[0].get('content') if first else body.get('system'))}"
    for tool in _list(body.get("tools")):
        yield json.dumps(tool) + "\n"
    for message in messages[len(first) :]:
        yield f"<|{message.get('role')}|>{_content(message.get('content'))}"
        for call in _list(message.get("tool_calls")):
            yield json.dumps(call["function"])
    yield "<|assistant|>"


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(_block(block) for block in _list(content))


def _block(block: JSON) -> str:
    """What of a block a model gets to see; a mark of where to cache is no part of that."""
    if block.get("type") == "text":
        return str(block["text"])
    if block.get("type") == "tool_result":
        return _content(block.get("content"))
    return json.dumps({key: part for key, part in block.items() if key != "cache_control"})


def _list(value: object) -> list[JSON]:
    return value if isinstance(value, list) else []
