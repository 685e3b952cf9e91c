"""Deltas written as OpenAI's stream chunks, or as one whole chat completion."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from anvil_ctl.router.dialects import finish
from anvil_ctl.router.dialects.answer import Answer, Stamp
from anvil_ctl.router.dialects.call import JSON
from anvil_ctl.router.dialects.delta import (
    Delta,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)
from anvil_ctl.serving.envelope import openai_error

_TEXT_TAIL = b'},"finish_reason":null}]}\n\n'

_encode = msgspec.json.Encoder().encode


class OpenAIWriter:
    """Writes one stream. `begin` first, `end` only if the upstream's answer was whole."""

    __slots__ = ("_base", "_text_head", "_tools", "_usage_wanted")

    def __init__(self, stamp: Stamp, *, include_usage: bool) -> None:
        self._base: JSON = {
            "id": f"chatcmpl-{stamp.id}",
            "object": "chat.completion.chunk",
            "created": stamp.created,
            "model": stamp.model,
        }
        # Most of a stream is text, and all that differs between its chunks is the text.
        blank = self._chunk({"content": ""})
        self._text_head = blank.removesuffix(b'""' + _TEXT_TAIL)
        self._tools: dict[int, int] = {}
        self._usage_wanted = include_usage

    def begin(self, _usage: Usage) -> bytes:
        """The chunk that names the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """These deltas as chunks; what only the end tells is left to it."""
        out = b""
        for delta in deltas:
            if isinstance(delta, Text):
                out += self._text_head + _encode(delta.text) + _TEXT_TAIL
            elif isinstance(delta, ToolArguments):
                call: JSON = {"function": {"arguments": delta.text}}
                out += self._call(delta.slot, call)
            elif isinstance(delta, ToolStart):
                out += self._start(delta)
            elif isinstance(delta, Thinking):
                out += self._chunk({"reasoning_content": delta.text})
        return out

    def end(self, answer: Answer) -> bytes:
        """Finish reason, usage if the caller asked for it, and the terminator."""
        reason = finish.for_openai(answer.reason, tools=bool(self._tools))
        out = self._chunk({}, reason)
        if self._usage_wanted:
            usage = usage_object(answer.counted())
            out += _event({**self._base, "choices": [], "usage": usage})
        return out + b"data: [DONE]\n\n"

    def error(self, kind: str, message: str) -> bytes:
        """The event after which nothing follows."""
        return error_event(kind, message)

    def _start(self, delta: ToolStart) -> bytes:
        index = self._tools.setdefault(delta.slot, len(self._tools))
        name: JSON = {"name": delta.name, "arguments": ""}
        call_id = delta.id or f"call_{self._base['id']}_{index}"
        return self._call(delta.slot, {"id": call_id, "type": "function", "function": name})

    def _call(self, slot: int, call: JSON) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._tools.get(slot, 0), **call}]})

    def _chunk(self, delta: JSON, reason: str | None = None) -> bytes:
        choice: JSON = {"index": 0, "delta": delta, "finish_reason": reason}
        return _event({**self._base, "choices": [choice]})


def whole(answer: Answer, stamp: Stamp) -> bytes:
    """A chat completion."""
    calls = [
        {
            "id": call.id or f"call_{stamp.id}_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        for number, call in enumerate(answer.calls)
    ]
    message: JSON = {"role": "assistant", "content": answer.text or None}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if calls:
        message["tool_calls"] = calls
    reason = finish.for_openai(answer.reason, tools=bool(calls))
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{stamp.id}",
            "object": "chat.completion",
            "created": stamp.created,
            "model": stamp.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": usage_object(answer.counted()),
        }
    )


def error_event(kind: str, message: str) -> bytes:
    """An error inside a stream that has begun."""
    return b"data: " + openai_error(kind, message) + b"\n\n"


def usage_object(usage: Usage) -> JSON:
    """OpenAI's `usage`."""
    given, made = usage.input or 0, usage.output or 0
    counted: JSON = {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
    }
    if usage.cached is not None:
        counted["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    return counted


def _event(value: JSON) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
