"""The items of a response: each collects its pieces and knows the events that tell them."""

from __future__ import annotations

from typing import Protocol

import msgspec

from anvil_ctl.router.dialects.call import JSON
from anvil_ctl.router.dialects.responses_history import Thoughts, pack
from anvil_ctl.router.dialects.responses_tools import Kind, Tool

# (type, fields) of each event, still without its number.
Events = list[tuple[str, JSON]]


class Item(Protocol):
    """One entry of a response's output."""

    def begin(self) -> Events:
        """What announces it."""

    def piece(self, text: str) -> Events:
        """One more piece of it."""

    def end(self) -> Events:
        """What closes it."""

    def whole(self, *, cut: bool) -> JSON:
        """The item itself; `cut`: the answer was too long to be finished."""


class Message:
    """Text."""

    __slots__ = ("_texts", "id", "index")

    def __init__(self, response: str, index: int) -> None:
        self.id = f"msg_{response}_{index}"
        self.index = index
        self._texts: list[str] = []

    def begin(self) -> Events:
        """The message and its only part, both empty."""
        item: JSON = {**self.whole(cut=False), "status": "in_progress", "content": []}
        return [
            ("response.output_item.added", {"output_index": self.index, "item": item}),
            ("response.content_part.added", {**self._at(), "part": _part("")}),
        ]

    def add(self, text: str) -> None:
        """Take in text whose event is written elsewhere."""
        self._texts.append(text)

    def piece(self, text: str) -> Events:
        """A piece of the text."""
        self.add(text)
        return [("response.output_text.delta", {**self._at(), "delta": text, "logprobs": []})]

    def end(self) -> Events:
        """The whole text three times, as the API says it."""
        text = "".join(self._texts)
        item = self.whole(cut=False)
        return [
            ("response.output_text.done", {**self._at(), "text": text, "logprobs": []}),
            ("response.content_part.done", {**self._at(), "part": _part(text)}),
            ("response.output_item.done", {"output_index": self.index, "item": item}),
        ]

    def whole(self, *, cut: bool) -> JSON:
        """The message."""
        return {
            "id": self.id,
            "type": "message",
            "status": "incomplete" if cut else "completed",
            "role": "assistant",
            "content": [_part("".join(self._texts))],
        }

    def _at(self) -> JSON:
        return {"item_id": self.id, "output_index": self.index, "content_index": 0}


class Reasoning:
    """What the model thought. `packed`: with a copy that a caller without state can give back."""

    __slots__ = ("_packed", "_texts", "id", "index", "signature")

    def __init__(self, response: str, index: int, packed: bool) -> None:
        self.id = f"rs_{response}_{index}"
        self.index = index
        self._packed = packed
        self.signature = ""
        self._texts: list[str] = []

    def begin(self) -> Events:
        """The item, still empty."""
        item: JSON = {"id": self.id, "type": "reasoning", "summary": [], "content": []}
        item["status"] = "in_progress"
        part: JSON = {"type": "reasoning_text", "text": ""}
        return [
            ("response.output_item.added", {"output_index": self.index, "item": item}),
            ("response.content_part.added", {**self._at(), "part": part}),
        ]

    def piece(self, text: str) -> Events:
        """A piece of the thought."""
        self._texts.append(text)
        return [("response.reasoning_text.delta", {**self._at(), "delta": text})]

    def end(self) -> Events:
        """The whole thought."""
        text = "".join(self._texts)
        part: JSON = {"type": "reasoning_text", "text": text}
        item = self.whole(cut=False)
        return [
            ("response.reasoning_text.done", {**self._at(), "text": text}),
            ("response.content_part.done", {**self._at(), "part": part}),
            ("response.output_item.done", {"output_index": self.index, "item": item}),
        ]

    def whole(self, *, cut: bool) -> JSON:
        """The item."""
        text = "".join(self._texts)
        item: JSON = {
            "id": self.id,
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": text}],
            "status": "incomplete" if cut else "completed",
        }
        if self._packed:
            item["encrypted_content"] = pack(Thoughts(text, self.signature))
        return item

    def _at(self) -> JSON:
        return {"item_id": self.id, "output_index": self.index, "content_index": 0}


class Call:
    """A call of one of the caller's tools, under the name that the caller gave it."""

    __slots__ = ("_arguments", "_call_id", "_tool", "id", "index")

    def __init__(self, response: str, index: int, tool: Tool, call_id: str) -> None:
        custom = tool.kind is Kind.CUSTOM
        self.id = f"{'ctc' if custom else 'fc'}_{response}_{index}"
        self.index = index
        self._tool = tool
        self._call_id = call_id or f"call_{response}_{index}"
        self._arguments: list[str] = []

    def begin(self) -> Events:
        """The call, still without arguments."""
        item: JSON = {**self.whole(cut=False), self._field: "", "status": "in_progress"}
        return [("response.output_item.added", {"output_index": self.index, "item": item})]

    def piece(self, text: str) -> Events:
        """A fragment of the arguments. A custom tool's input is wrapped, so it comes whole."""
        self._arguments.append(text)
        if self._field == "input":
            return []
        return [("response.function_call_arguments.delta", {**self._at(), "delta": text})]

    def end(self) -> Events:
        """The arguments whole."""
        value = self._value()
        item = self.whole(cut=False)
        done: Events = [("response.output_item.done", {"output_index": self.index, "item": item})]
        if self._field == "input":
            told: JSON = {**self._at(), "delta": value}
            whole: JSON = {**self._at(), "input": value}
            kind = "response.custom_tool_call_input"
            return [(f"{kind}.delta", told), (f"{kind}.done", whole), *done]
        fields: JSON = {**self._at(), "name": self._tool.name, "arguments": value}
        return [("response.function_call_arguments.done", fields), *done]

    def whole(self, *, cut: bool) -> JSON:
        """The call."""
        item: JSON = {
            "id": self.id,
            "type": "custom_tool_call" if self._field == "input" else "function_call",
            "status": "incomplete" if cut else "completed",
            "call_id": self._call_id,
            "name": self._tool.name,
            self._field: self._value(),
        }
        if self._tool.namespace is not None:
            item["namespace"] = self._tool.namespace
        return item

    @property
    def _field(self) -> str:
        return "input" if self._tool.kind is Kind.CUSTOM else "arguments"

    def _value(self) -> str:
        arguments = "".join(self._arguments)
        if self._field == "arguments":
            return arguments or "{}"
        try:
            wrapped = msgspec.json.decode(arguments, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError):
            return arguments
        given = wrapped.get("input")
        return given if isinstance(given, str) else arguments

    def _at(self) -> JSON:
        return {"item_id": self.id, "output_index": self.index}


def _part(text: str) -> JSON:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
