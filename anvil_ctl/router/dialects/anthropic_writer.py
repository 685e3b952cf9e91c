"""Deltas written as Anthropic's stream events, or as one whole message."""

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
from anvil_ctl.serving.envelope import anthropic_error

# Most of a stream is text: only the block's number and the text differ between its events.
_TEXT = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%b}}\n\n'
)
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class AnthropicWriter:
    """Writes one stream. Blocks are opened when their first piece arrives, one at a time.

    Anthropic's blocks can't overlap and OpenAI's tool calls can: a call that starts while another
    one's arguments are unfinished waits for it.
    """

    __slots__ = ("_index", "_open", "_stamp", "_unfinished", "_waiting")

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._index = -1
        # What the open block is: "text", "thinking", a tool's slot, or None between blocks.
        self._open: str | int | None = None
        # The open call's fragments, kept while another call may wait for its end.
        self._unfinished: list[str] = []
        self._waiting: list[ToolStart | ToolArguments] = []

    def begin(self, usage: Usage) -> bytes:
        """The message's start, with what is known of its usage."""
        message: JSON = {
            "id": f"msg_{self._stamp.id}",
            "type": "message",
            "role": "assistant",
            "model": self._stamp.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": usage.input or 0, "output_tokens": 0},
        }
        return _event("message_start", {"message": message}) + PING

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """These deltas as events; what only the end tells is left to it."""
        out = b""
        for delta in deltas:
            match delta:
                case Text(text) if self._open == "text":
                    out += _TEXT % (self._index, msgspec.json.encode(text))
                case Text(text):
                    out += self._piece("text", {"type": "text_delta", "text": text})
                case Thinking(text):
                    out += self._piece("thinking", {"type": "thinking_delta", "thinking": text})
                case Signature(text) if self._open == "thinking":
                    out += self._delta({"type": "signature_delta", "signature": text})
                case ToolStart() | ToolArguments():
                    out += self._tool(delta)
                case _:
                    pass
        return out

    def end(self, answer: Answer) -> bytes:
        """The last block's end, stop reason and usage, and the message's end."""
        out = self._flush(last=True) + self._close()
        reason = finish.for_anthropic(answer.reason, tools=bool(answer.calls))
        delta: JSON = {"stop_reason": reason, "stop_sequence": answer.stop_sequence}
        usage = usage_object(answer.counted())
        out += _event("message_delta", {"delta": delta, "usage": usage})
        return out + _event("message_stop", {})

    def error(self, kind: str, message: str) -> bytes:
        """The event after which nothing follows."""
        return error_event(kind, message)

    def _piece(self, kind: str, delta: JSON) -> bytes:
        out = b""
        if self._open != kind:
            out = self._flush(last=True)
            start: JSON = {"type": kind, kind: ""}
            if kind == "thinking":
                start["signature"] = ""
            out += self._start(kind, start)
        return out + self._delta(delta)

    def _tool(self, delta: ToolStart | ToolArguments) -> bytes:
        if isinstance(delta, ToolArguments) and delta.slot == self._open:
            self._unfinished.append(delta.text)
            out = self._delta({"type": "input_json_delta", "partial_json": delta.text})
            return out + (self._flush(last=False) if self._waiting else b"")
        self._waiting.append(delta)
        return self._flush(last=False)

    def _flush(self, *, last: bool) -> bytes:
        """Write waiting calls, up to one that is itself unfinished unless this is the end."""
        out = b""
        while self._waiting and (last or not isinstance(self._open, int) or self._is_whole()):
            first = self._waiting[0]
            slot = first.slot
            mine = [piece for piece in self._waiting if piece.slot == slot]
            self._waiting = [piece for piece in self._waiting if piece.slot != slot]
            if isinstance(first, ToolStart):
                call_id = first.id or f"toolu_{self._stamp.id}_{slot}"
                block: JSON = {"type": "tool_use", "id": call_id, "name": first.name, "input": {}}
                out += self._start(slot, block)
            elif slot != self._open:
                continue  # its block is closed; fragments in another block would corrupt that one
            for piece in mine:
                if isinstance(piece, ToolArguments):
                    self._unfinished.append(piece.text)
                    out += self._delta({"type": "input_json_delta", "partial_json": piece.text})
        return out

    def _is_whole(self) -> bool:
        # Arguments are an object: most fragments can't be its end, and are not looked at again.
        if not self._unfinished or not self._unfinished[-1].rstrip().endswith("}"):
            return False
        self._unfinished = ["".join(self._unfinished)]
        try:
            msgspec.json.decode(self._unfinished[0])
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def _start(self, kind: str | int, block: JSON) -> bytes:
        out = self._close()
        self._index += 1
        self._open = kind
        self._unfinished = []
        return out + _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: JSON) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", {"index": self._index})


def whole(answer: Answer, stamp: Stamp) -> bytes:
    """A message."""
    content: list[JSON] = []
    if answer.thinking:
        content.append(
            {"type": "thinking", "thinking": answer.thinking, "signature": answer.signature}
        )
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    for number, call in enumerate(answer.calls):
        call_id = call.id or f"toolu_{stamp.id}_{number}"
        arguments = arguments_object(call.arguments)
        content.append({"type": "tool_use", "id": call_id, "name": call.name, "input": arguments})
    return msgspec.json.encode(
        {
            "id": f"msg_{stamp.id}",
            "type": "message",
            "role": "assistant",
            "model": stamp.model,
            "content": content or [{"type": "text", "text": ""}],
            "stop_reason": finish.for_anthropic(answer.reason, tools=bool(answer.calls)),
            "stop_sequence": answer.stop_sequence,
            "usage": usage_object(answer.counted()),
        }
    )


def error_event(kind: str, message: str) -> bytes:
    """An error inside a stream that has begun."""
    return b"event: error\ndata: " + anthropic_error(kind, message) + b"\n\n"


def arguments_object(text: str) -> JSON:
    """The object in a call's JSON text; text that is none is kept under `_raw`, not lost."""
    try:
        value = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        return {"_raw": text}
    return value if isinstance(value, dict) else {"_raw": text}


def usage_object(usage: Usage) -> JSON:
    """Anthropic's `usage`, which counts cached input beside the rest."""
    cached = usage.cached or 0
    counted: JSON = {
        "input_tokens": max(0, (usage.input or 0) - cached),
        "output_tokens": usage.output or 0,
    }
    if usage.cached is not None:
        counted["cache_read_input_tokens"] = cached
    return counted


def _event(kind: str, value: JSON) -> bytes:
    data = msgspec.json.encode({"type": kind, **value})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
