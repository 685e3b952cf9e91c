"""What a request says, read once: its size, what it needs, and the words that it is about.

Bodies come from anybody, so every shape is allowed here; what isn't understood counts as nothing.
"""

from __future__ import annotations

import msgspec

from anvil_ctl.router.dialects.blocks import objects, string
from anvil_ctl.router.dialects.call import JSON
from anvil_ctl.router.judgement.size import Size, measure

_IMAGES = frozenset({"image", "image_url", "input_image"})
# Where blocks of a kind keep their text.
_TEXT_KEYS = {"thinking": "thinking", "refusal": "refusal"}
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_SYSTEM_ROLES = frozenset({"system", "developer"})
_RESULT_ROLES = frozenset({"tool", "function"})
_REMINDER = ("<system-reminder>", "</system-reminder>")
# The fields that ask for something besides an answer.
_WISHES = frozenset(
    {"tools", "functions", "tool_choice", "response_format", "output_config", "output_format"}
    | {"thinking", "modality", "voice"}
)
# A message of these alone holds its text in `content` and nowhere else.
_PLAIN = frozenset({"role", "content"})
# Tool results hold blocks, and those hold no further results.
_MAX_NESTING = 3


class Reading(msgspec.Struct, frozen=True):
    """One request's facts. `conversation` leaves out the tools' definitions; `total` has them.

    `beginning`: the texts up to the first that the user said; later turns have the same ones.
    """

    conversation: Size
    total: Size
    system: str
    ask: str
    beginning: tuple[str, ...]
    needs_tools: bool
    needs_vision: bool
    needs_schema: bool = False
    offers_tools: bool = False
    thinks: bool = False
    voice: bool = False


def read(raw: JSON) -> Reading:
    """Read a body of either dialect. Never raises."""
    walk = _Walk()
    system = walk.content(raw.get("system"))
    messages = objects(raw.get("messages"))
    for message in messages:
        walk.message(message)
    if walk.systems:
        system = "\n".join([*([system] if system else []), *walk.systems])
    text = "\n".join(walk.texts).encode("utf-8", "replace")
    size = measure(text, messages=len(messages), images=walk.images)
    beginning = tuple(walk.texts[: walk.begun])
    if raw.keys().isdisjoint(_WISHES):
        return Reading(size, size, system, walk.ask, beginning, walk.tools, walk.images > 0)
    tools = raw.get("tools") or raw.get("functions")
    return Reading(
        conversation=size,
        total=size + measure(_json(tools)) if tools else size,
        system=system,
        ask=walk.ask,
        beginning=beginning,
        needs_tools=walk.tools or bool(tools) or raw.get("tool_choice") is not None,
        needs_vision=walk.images > 0,
        needs_schema=_wants_schema(raw),
        offers_tools=bool(tools),
        thinks=_thinks(raw.get("thinking")),
        voice=_is_voice(raw),
    )


class _Walk:
    """Collects the texts of a conversation.

    `ask` is the last that a person said, `begun` how many texts there were with the first.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.begun: int | None = None
        self.systems: list[str] = []
        self.images = 0
        self.tools = False
        self.ask = ""

    def message(self, message: JSON) -> None:
        role = string(message.get("role"))
        said = self.content(message.get("content"))
        if role == "user":
            self.ask = _without_reminders(said) or self.ask
            if self.begun is None:
                self.begun = len(self.texts)
        elif role in _SYSTEM_ROLES:
            self.systems.append(said)
        elif role in _RESULT_ROLES:
            self.tools = True
        if message.keys() <= _PLAIN:
            return
        self._add(string(message.get("reasoning_content")))
        for call in objects(message.get("tool_calls")):
            self._call(call.get("function"))
        if message.get("function_call") is not None:
            self._call(message.get("function_call"))

    def content(self, content: object, depth: int = 0) -> str:
        """Take in a message's content; its own text, without that of tool results."""
        if isinstance(content, str):
            self._add(content)
            return content
        if not isinstance(content, list) or depth > _MAX_NESTING:
            return ""
        said = [self._item(item, depth) for item in content]
        return "\n".join(text for text in said if text)

    def _item(self, item: object, depth: int) -> str:
        if isinstance(item, str):
            self._add(item)
            return item
        return self._block(item, depth) if isinstance(item, dict) else ""

    def _block(self, block: JSON, depth: int) -> str:
        kind = block.get("type")
        text = block.get("text")
        if isinstance(text, str):
            self._add(text)
            return text
        if not isinstance(kind, str):
            return ""
        if kind in _IMAGES:
            self.images += 1
        elif kind in _CALLS:
            self.tools = True
            self._add(string(block.get("name")))
            self._add(_text(block.get("input")))
        elif kind.endswith("tool_result"):
            self.tools = True
            self.content(block.get("content"), depth + 1)
        elif kind in _TEXT_KEYS:
            self._add(string(block.get(_TEXT_KEYS[kind])))
        elif kind == "document":
            self._document(block.get("source"), depth)
        return ""

    def _document(self, source: object, depth: int) -> None:
        """A document's own text; a file's bytes are no text."""
        if isinstance(source, dict):
            if source.get("type") == "text":
                self._add(string(source.get("data")))
            self.content(source.get("content"), depth + 1)

    def _call(self, function: object) -> None:
        self.tools = True
        if isinstance(function, dict):
            self._add(string(function.get("name")))
            self._add(_text(function.get("arguments")))

    def _add(self, text: str) -> None:
        if text:
            self.texts.append(text)


def _without_reminders(text: str) -> str:
    """What a person said, without the notes that a harness put between."""
    opening, closing = _REMINDER
    if opening not in text:
        return text.strip()
    kept: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0:
        end = text.find(closing, start)
        if end < 0:
            break
        kept.append(text[at:start])
        at = end + len(closing)
    kept.append(text[at:])
    return "".join(kept).strip()


def _wants_schema(raw: JSON) -> bool:
    """Whether the answer is promised to fit a JSON schema."""
    shape = raw.get("response_format")
    if not isinstance(shape, dict):
        config = raw.get("output_config")
        shape = config.get("format") if isinstance(config, dict) else raw.get("output_format")
    return isinstance(shape, dict) and shape.get("type") == "json_schema"


def _thinks(thinking: object) -> bool:
    off = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    return bool(thinking) and not off


def _is_voice(raw: JSON) -> bool:
    modality = raw.get("modality")
    spoken = isinstance(modality, str) and modality.strip().lower() == "voice"
    return spoken or bool(raw.get("voice"))


def _text(value: object) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else _json(value).decode() if value else ""


def _json(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        return b""
