"""What must leave a request so that an engine finds its beginning in the cache, or takes it at all.

Engines keep the attention of prompts they have read and reuse it up to the first difference. A line
that differs from conversation to conversation, put first by an agent, would cost every one of them
its whole system text and all tools. And chat templates know one system message, at the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator

from anvil_ctl.router.dialects import deferred
from anvil_ctl.router.dialects.blocks import objects, string, text_of
from anvil_ctl.router.dialects.call import JSON

# Claude Code's first system block: a version and an entry point, for Anthropic's accounting alone.
_BILLING = "x-anthropic-billing-header:"


def system(value: object) -> object:
    """Anthropic's `system` without the billing line; the same object where there is none."""
    if isinstance(value, str):
        return _without_line(value)
    if isinstance(value, list) and any(_is_billed(block) for block in value[:2]):
        return list(_unbilled(value))
    return value


def plain_anthropic(body: JSON) -> None:
    """Make a body one that local engines take as they would Anthropic's own: without the billing
    line, without system messages among the others, and without deferred tools."""
    if "system" in body:
        body["system"] = system(body["system"])
        if body["system"] in ("", []):
            del body["system"]
    tools = deferred.offered(body)
    if tools != body.get("tools", []):
        body["tools"] = tools
        body["messages"] = deferred.told(body.get("messages"))
    if any(message.get("role") == "system" for message in objects(body.get("messages"))):
        leading, messages = split_system(body.get("messages"))
        body["messages"] = list(_folded(messages))
        if leading:
            first = body.get("system")
            blocks = [{"type": "text", "text": first}] if isinstance(first, str) else first
            body["system"] = [*objects(blocks), *({"type": "text", "text": t} for t in leading)]


def split_system(messages: object) -> tuple[list[str], list[JSON]]:
    """The system texts from before all else, and the messages without them.

    Later ones become the user's, in the tags that Claude Code has for that: at the front they would
    change the beginning. Claude Code's first one names the folder and the day.
    """
    leading: list[str] = []
    rest: list[JSON] = []
    begun = False
    for message in objects(messages):
        if message.get("role") != "system":
            begun = True
            rest.append(message)
            continue
        text = text_of(message.get("content"), "\n\n")
        if text and begun:
            _remind(
                rest, {"type": "text", "text": f"<system-reminder>\n{text}\n</system-reminder>"}
            )
        elif text:
            leading.append(text)
    return leading, rest


def _remind(messages: list[JSON], reminder: JSON) -> None:
    """Put it before the words that it followed, if any: small models answer what comes last."""
    last = messages[-1]
    blocks = _blocks(last) if last.get("role") == "user" else []
    if blocks and blocks[-1].get("type") == "text":
        messages[-1] = {**last, "content": [*blocks[:-1], reminder, blocks[-1]]}
    else:
        messages.append({"role": "user", "content": [reminder]})


def plain_openai(body: JSON) -> None:
    """Call a developer's message what chat templates call it."""
    messages = body.get("messages")
    if isinstance(messages, list) and "developer" in [m.get("role") for m in objects(messages)]:
        body["messages"] = [
            {**m, "role": "system"} if m.get("role") == "developer" else m
            for m in objects(messages)
        ]


def _folded(messages: list[JSON]) -> Iterator[JSON]:
    """Messages of one role that follow each other, as one."""
    held: JSON | None = None
    for message in messages:
        if held is not None and held["role"] == message["role"]:
            held = {**held, "content": [*_blocks(held), *_blocks(message)]}
            continue
        if held is not None:
            yield held
        held = message
    if held is not None:
        yield held


def _blocks(message: JSON) -> list[JSON]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return objects(content)


def _is_billed(block: object) -> bool:
    return isinstance(block, dict) and string(block.get("text")).startswith(_BILLING)


def _unbilled(blocks: list[object]) -> Iterator[object]:
    for block in blocks:
        if not isinstance(block, dict) or not _is_billed(block):
            yield block
            continue
        rest = _without_line(string(block.get("text")))
        if rest:
            yield {**block, "text": rest}


def _without_line(text: str) -> str:
    if not text.startswith(_BILLING):
        return text
    return text.partition("\n")[2].lstrip("\n")
