"""Deltas written as the events of OpenAI's Responses API, or as one whole response."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from anvil_ctl.router.dialects import finish
from anvil_ctl.router.dialects.answer import Answer, Stamp
from anvil_ctl.router.dialects.call import JSON
from anvil_ctl.router.dialects.delta import (
    Delta,
    Signature,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)
from anvil_ctl.router.dialects.responses_items import Call, Item, Message, Reasoning
from anvil_ctl.router.dialects.responses_tools import Toolbox

_TEXT = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
    b'"sequence_number":%d,"item_id":"%b","output_index":%d,"content_index":0,"delta":%b,'
    b'"logprobs":[]}\n\n'
)
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# What a response says of a request that didn't.
_DEFAULTS: JSON = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None}, "temperature": None,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": None,
    "truncation": "disabled", "user": None,
    "background": False, "previous_response_id": None, "store": False,
}  # fmt: skip


class Asked(msgspec.Struct, frozen=True):
    """What the answer needs of its request. `echo` is what it repeats; `packed`: the caller wants
    reasoning in a form that it can give back."""

    tools: Toolbox
    echo: JSON
    packed: bool = False


class ResponsesWriter:
    """Writes one stream. Text and reasoning end when something else begins; calls, whose
    arguments may come interleaved, when the answer does."""

    __slots__ = ("_asked", "_items", "_number", "_open", "_response", "_slots", "_stamp")

    def __init__(self, stamp: Stamp, asked: Asked) -> None:
        self._stamp = stamp
        self._asked = asked
        self._response = _fixed(stamp, asked)
        self._items: list[Item] = []
        self._open: Message | Reasoning | None = None
        self._slots: dict[int, Call] = {}
        self._number = 0

    def begin(self, _usage: Usage) -> bytes:
        """The response's start."""
        started = _response(self._response, "in_progress", [])
        created = self._event("response.created", {"response": started})
        return created + self._event("response.in_progress", {"response": started})

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """These deltas as events; what only the end tells is left to it."""
        out = b""
        for delta in deltas:
            match delta:
                case Text(text):
                    if not isinstance(self._open, Message):
                        out += self._start(Message(self._stamp.id, len(self._items)))
                    out += self._text(text)
                case Thinking(text):
                    if not isinstance(self._open, Reasoning):
                        packed = self._asked.packed
                        out += self._start(Reasoning(self._stamp.id, len(self._items), packed))
                    out += self._piece(self._open, text)
                case Signature(text) if isinstance(self._open, Reasoning):
                    self._open.signature = text
                case ToolStart():
                    out += self._call(delta)
                case ToolArguments(slot, text) if slot in self._slots:
                    out += self._piece(self._slots[slot], text)
                case _:
                    pass
        return out

    def end(self, answer: Answer) -> bytes:
        """The open items' ends, and the response's."""
        reason = finish.for_openai(answer.reason, tools=bool(self._slots))
        out = self._close()
        for call in self._slots.values():
            out += self._events(call.end())
        items = [item.whole(cut=reason == "length") for item in self._items]
        status, details = _outcome(reason)
        response = _response(self._response, status, items, details, answer.counted())
        return out + self._event(f"response.{status}", {"response": response})

    def error(self, _kind: str, message: str) -> bytes:
        """The event after which nothing follows."""
        items = [item.whole(cut=True) for item in self._items]
        response = _response(self._response, "failed", items)
        response["error"] = {"code": "server_error", "message": message}
        return self._event("response.failed", {"response": response})

    def _start(self, item: Message | Reasoning) -> bytes:
        out = self._close()
        self._open = item
        self._items.append(item)
        return out + self._events(item.begin())

    def _close(self) -> bytes:
        ended, self._open = self._open, None
        return self._events(ended.end()) if ended is not None else b""

    def _call(self, start: ToolStart) -> bytes:
        tool = self._asked.tools.tool(start.name)
        call = Call(self._stamp.id, len(self._items), tool, start.id)
        out = self._close()
        self._slots[start.slot] = call
        self._items.append(call)
        return out + self._events(call.begin())

    def _piece(self, item: Item | None, text: str) -> bytes:
        return self._events(item.piece(text)) if item is not None else b""

    def _text(self, text: str) -> bytes:
        """Most of a stream is text, and all that differs between its events is the text."""
        item = self._open
        if not isinstance(item, Message):
            return b""
        item.add(text)
        number, self._number = self._number, self._number + 1
        delta = msgspec.json.encode(text)
        return _TEXT % (number, item.id.encode(), item.index, delta)

    def _events(self, events: list[tuple[str, JSON]]) -> bytes:
        return b"".join(self._event(kind, fields) for kind, fields in events)

    def _event(self, kind: str, fields: JSON) -> bytes:
        value = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(value))


def whole(answer: Answer, stamp: Stamp, asked: Asked) -> bytes:
    """A whole response."""
    reason = finish.for_openai(answer.reason, tools=bool(answer.calls))
    items: list[Item] = []
    if answer.thinking:
        thought = Reasoning(stamp.id, 0, asked.packed)
        thought.piece(answer.thinking)
        thought.signature = answer.signature
        items.append(thought)
    if answer.text or not answer.calls:
        items.append(Message(stamp.id, len(items)))
        items[-1].piece(answer.text)
    for made in answer.calls:
        items.append(Call(stamp.id, len(items), asked.tools.tool(made.name), made.id))
        items[-1].piece(made.arguments)
    output = [item.whole(cut=reason == "length") for item in items]
    status, details = _outcome(reason)
    return msgspec.json.encode(
        _response(_fixed(stamp, asked), status, output, details, answer.counted())
    )


def usage_object(usage: Usage) -> JSON:
    """The API's `usage`, every field of which its clients expect."""
    given, made = usage.input or 0, usage.output or 0
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": usage.cached or 0, "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": given + made,
    }


def _fixed(stamp: Stamp, asked: Asked) -> JSON:
    """What a response says from its first event to its last."""
    # Encoded once: an agent's tools are most of the response, and each stream has it three times.
    echo = {
        key: msgspec.Raw(msgspec.json.encode(value))
        for key, value in {**_DEFAULTS, **asked.echo}.items()
    }
    return {
        "id": f"resp_{stamp.id}",
        "object": "response",
        "created_at": stamp.created,
        "model": stamp.model,
        **echo,
    }


def _response(
    fixed: JSON,
    status: str,
    output: list[JSON],
    details: JSON | None = None,
    usage: Usage | None = None,
) -> JSON:
    return {
        **fixed,
        "status": status,
        "error": None,
        "incomplete_details": details,
        "output": output,
        "usage": None if usage is None else usage_object(usage),
    }


def _outcome(reason: str) -> tuple[str, JSON | None]:
    """Status and details of a response that ended for this reason, in a chat's word."""
    if reason in _INCOMPLETE:
        return "incomplete", {"reason": _INCOMPLETE[reason]}
    return "completed", None
