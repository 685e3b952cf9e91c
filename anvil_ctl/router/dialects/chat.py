"""What every translation into an OpenAI chat shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from anvil_ctl.router.dialects.blocks import objects, string
from anvil_ctl.router.dialects.call import JSON

# Efforts that local engines refuse, as the nearest that they know.
EFFORTS = {"minimal": "low", "xhigh": "high", "max": "high"}

_NAMES = ("reasoning_content", "reasoning")
# Anthropic's signature under thoughts; no chat engine knows it, so it never leaves in a chat.
SIGNATURE = "reasoning_signature"
_THOUGHTS = frozenset({*_NAMES, SIGNATURE})


def merged(messages: Iterable[JSON]) -> list[JSON]:
    """Messages of the user's that follow each other, as one: templates want roles to alternate."""
    out: list[JSON] = []
    for message in messages:
        last = out[-1] if out else None
        if last is None or message["role"] != "user" or last["role"] != "user":
            out.append(message)
        else:
            out[-1] = {"role": "user", "content": flat([*_parts(last), *_parts(message)])}
    return out


def flat(parts: list[JSON]) -> object:
    """Content as plain text, which every engine takes, where it is nothing else."""
    if all(part.get("type") == "text" for part in parts):
        return "\n\n".join(string(part["text"]) for part in parts)
    return parts


def remembered(thoughts: str, signature: str = "") -> JSON:
    """What a model thought, for its next turn, under both names that engines have for it."""
    fields: JSON = dict.fromkeys(_NAMES, thoughts)
    return {**fields, SIGNATURE: signature} if signature else fields


def forgotten(messages: object, *, thoughts: bool) -> Iterator[JSON]:
    """The messages without signatures and, for services that know no field for them, thoughts."""
    hidden = _THOUGHTS if thoughts else frozenset({SIGNATURE})
    for message in objects(messages):
        yield {key: value for key, value in message.items() if key not in hidden}


def _parts(message: JSON) -> list[JSON]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return objects(content)
