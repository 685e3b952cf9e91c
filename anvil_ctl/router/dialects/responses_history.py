"""The items of a Responses request as the messages of a chat."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

import msgspec

from anvil_ctl.router.dialects.blocks import objects, string, text_of
from anvil_ctl.router.dialects.call import JSON, BadRequestError
from anvil_ctl.router.dialects.chat import flat, remembered
from anvil_ctl.router.dialects.responses_tools import Toolbox

_PACKED = "anvil1."
_SYSTEM = ("system", "developer")
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
# What OpenAI's own tools did in an earlier answer. Nothing here can show it to a model.
_HOSTED = frozenset({
    "web_search_call", "file_search_call", "image_generation_call", "code_interpreter_call",
    "tool_search_call", "tool_search_output", "mcp_list_tools", "mcp_approval_request",
    "mcp_approval_response",
})  # fmt: skip


class Thoughts(msgspec.Struct, frozen=True):
    """What a model thought, and Anthropic's signature under it, if there is one."""

    text: str
    signature: str = ""


def pack(thoughts: Thoughts) -> str:
    """Reasoning in the form in which a caller that keeps no state gives it back unchanged."""
    return _PACKED + base64.b64encode(msgspec.json.encode(thoughts)).decode("ascii")


def messages(instructions: object, items: object, tools: Toolbox) -> list[JSON]:
    """The chat. Raises BadRequestError for an item that it can't hold."""
    chat = _Chat(tools)
    if string(instructions):
        chat.system(string(instructions))
    if isinstance(items, str):
        chat.user([{"type": "text", "text": items}])
    for number, item in enumerate(objects(items)):
        chat.add(item, f"input.{number}")
    return chat.finished()


class _Chat:
    """Puts messages together. Engines' chat templates want one system message, at the beginning,
    and turns that alternate; a Responses request may have neither."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools
        self._system: list[str] = []
        self._messages: list[JSON] = []
        self._called: set[str] = set()
        # What may only be said once every tool has answered.
        self._after: list[JSON] = []

    def add(self, item: JSON, where: str) -> None:
        """Take in one item."""
        kind = string(item.get("type", "message"))
        if kind == "message":
            self._message(item, where)
        elif kind in _CALLS:
            self._call(item)
        elif kind in _OUTPUTS:
            self._output(item, where)
        elif kind == "reasoning":
            thinking = _thinking(item)
            if thinking.text:
                self._assistant().update(remembered(thinking.text, thinking.signature))
        elif kind not in _HOSTED:
            raise BadRequestError(
                f"{where}: items of type {kind!r} are not supported", kind="unsupported_parameter"
            )

    def system(self, text: str) -> None:
        """Instructions. Those after the model's first word stay where they are, as the user's:
        at the front they would change the beginning that engines have cached."""
        if any(message["role"] == "assistant" for message in self._messages):
            self.user([{"type": "text", "text": text}])
        else:
            self._system.append(text)

    def user(self, parts: list[JSON]) -> None:
        """What the user says, in one message with what was said just before."""
        if self._after:
            parts = [*self._after, *parts]
            self._after = []
        if not parts:
            return
        last = self._messages[-1] if self._messages else None
        if last is None or last["role"] != "user":
            last = {"role": "user", "content": []}
            self._messages.append(last)
        content = last["content"]
        if isinstance(content, list):
            content += parts

    def finished(self) -> list[JSON]:
        """All messages; text alone is a plain string, which every engine takes."""
        self.user([])
        for message in self._messages:
            content = message.get("content")
            if isinstance(content, list):
                message["content"] = flat(content)
        if self._system:
            return [{"role": "system", "content": "\n\n".join(self._system)}, *self._messages]
        return self._messages

    def _message(self, item: JSON, where: str) -> None:
        role = item.get("role")
        parts = list(_parts(item.get("content"), f"{where}.content"))
        texts = [string(part.get("text")) for part in parts]
        if role in _SYSTEM:
            if any(texts):
                self.system("\n".join(text for text in texts if text))
        elif role == "user":
            self.user(parts)
        elif role == "assistant":
            message = self._assistant()
            said = [string(message["content"]), "".join(texts)]
            message["content"] = "\n".join(text for text in said if text)
        else:
            raise BadRequestError(f"{where}.role: must be user, assistant, system or developer")

    def _assistant(self) -> JSON:
        self.user([])
        if not self._messages or self._messages[-1]["role"] != "assistant":
            self._messages.append({"role": "assistant", "content": ""})
        return self._messages[-1]

    def _call(self, item: JSON) -> None:
        name = self._tools.called(item)
        arguments = string(item.get("arguments"))
        if item.get("type") == "custom_tool_call":
            arguments = msgspec.json.encode({"input": string(item.get("input"))}).decode()
        call_id = string(item.get("call_id")) or f"call_{len(self._called)}"
        self._called.add(call_id)
        call: JSON = {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments or "{}"},
        }
        message = self._assistant()
        calls = message.setdefault("tool_calls", [])
        if isinstance(calls, list):
            calls.append(call)

    def _output(self, item: JSON, where: str) -> None:
        output = item.get("output")
        parts = list(_parts(output, f"{where}.output"))
        text = "\n".join(string(part.get("text")) for part in parts if part["type"] == "text")
        images = [part for part in parts if part["type"] != "text"]
        call_id = string(item.get("call_id"))
        if call_id not in self._called:
            # Strict engines refuse a result that answers no call in the conversation.
            self.user([{"type": "text", "text": f"Tool result: {text}"}, *images])
            return
        if images:
            text = f"{text}\n[image below]".strip()
            self._after += images
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text})


def _parts(content: object, where: str) -> Iterator[JSON]:
    if isinstance(content, str):
        if content:
            yield {"type": "text", "text": content}
        return
    if not isinstance(content, list | None):
        raise BadRequestError(f"{where}: must be a string or a list")
    for number, part in enumerate(content or ()):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("input_text", "output_text", "text", "summary_text", "refusal"):
            text = string(part.get("refusal" if kind == "refusal" else "text"))
            if text:
                yield {"type": "text", "text": text}
        elif kind == "input_image" and string(part.get("image_url")):
            image: JSON = {"url": part["image_url"]}
            if part.get("detail") in ("low", "high", "auto"):
                image["detail"] = part["detail"]
            yield {"type": "image_url", "image_url": image}
        else:
            raise BadRequestError(
                f"{where}.{number}: content of type {kind!r} is not supported",
                kind="unsupported_parameter",
            )


def _thinking(item: JSON) -> Thoughts:
    packed = string(item.get("encrypted_content"))
    if packed.startswith(_PACKED):
        try:
            data = base64.b64decode(packed.removeprefix(_PACKED), validate=True)
            return msgspec.json.decode(data, type=Thoughts)
        except (binascii.Error, ValueError, msgspec.DecodeError):
            return Thoughts("")
    return Thoughts(text_of(item.get("content")))
