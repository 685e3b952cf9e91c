"""OpenAI's stream events and whole answers, read into deltas."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from anvil_ctl.router.dialects.delta import (
    Broken,
    Delta,
    Ended,
    Finish,
    Named,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)
from anvil_ctl.upstream.failure import failed
from anvil_ctl.upstream.sse import ServerEvent

_Shape = TypeVar("_Shape")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Message | None = None
    # What /v1/completions has in the place of a delta.
    text: str | None = None
    finish_reason: str | None = None
    # The stop sequence or token that was met, where the engine says it: vLLM, and SGLang.
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw()


class _WholeChoice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None


class _Whole(msgspec.Struct):
    choices: list[_WholeChoice]
    model: str | None = None
    usage: _Usage | None = None


# Made once: naming the shape in each call takes half as long again.
_CHUNKS = msgspec.json.Decoder(_Chunk)
_WHOLES = msgspec.json.Decoder(_Whole)


class OpenAIReader:
    """Turns the events of one stream into deltas."""

    __slots__ = ("_named", "_slots")

    def __init__(self) -> None:
        # tool call index (or the id, for engines that send no index) -> slot
        self._slots: dict[int | str, int] = {}
        self._named: str | None = None

    def read(self, event: ServerEvent) -> list[Delta]:
        """What one event says. Events that can't be understood say nothing."""
        if event.data == b"[DONE]":
            return [Ended()]
        chunk = decode(event.data, _CHUNKS)
        if chunk is None:
            return []
        if event.name == "error" or bytes(chunk.error) not in (b"", b"null"):
            return [Broken()]
        deltas: list[Delta] = []
        if chunk.model and chunk.model != self._named:
            self._named = chunk.model
            deltas.append(Named(chunk.model))
        # Only the first choice can be told in the other dialect.
        for choice in (chunk.choices or [])[:1]:
            if choice.delta is not None:
                self._message(choice.delta, deltas)
            elif choice.text:
                deltas.append(Text(choice.text))
            if choice.finish_reason:
                deltas.append(_finish(choice))
        if chunk.usage is not None:
            deltas.append(_usage(chunk.usage))
        return deltas

    def whole(self, body: bytes) -> list[Delta]:
        """What an unstreamed answer says. Raises UpstreamError if it is malformed."""
        answer = _parsed(body)
        deltas: list[Delta] = [Named(answer.model)] if answer.model else []
        for choice in answer.choices[:1]:
            self._message(choice.message, deltas)
            deltas.append(_finish(choice))
        if answer.usage is not None:
            deltas.append(_usage(answer.usage))
        deltas.append(Ended())
        return deltas

    def _message(self, message: _Message, deltas: list[Delta]) -> None:
        thought = message.reasoning_content or message.reasoning
        if thought:
            deltas.append(Thinking(thought))
        text = message.content or message.refusal
        if text:
            deltas.append(Text(text))
        for call in message.tool_calls or ():
            self._tool(call, deltas)

    def _tool(self, call: _ToolCall, deltas: list[Delta]) -> None:
        function = call.function or _Function()
        key = self._key(call)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = len(self._slots)
            deltas.append(ToolStart(slot, call.id or "", function.name or ""))
        if function.arguments:
            deltas.append(ToolArguments(slot, function.arguments))

    def _key(self, call: _ToolCall) -> int | str:
        if call.index is not None:
            return call.index
        if call.id:
            return call.id
        return next(reversed(self._slots), 0)


def counts(body: bytes) -> Usage:
    """What an unstreamed answer says of its tokens. Raises UpstreamError if it is malformed."""
    answer = _parsed(body)
    return Usage() if answer.usage is None else _usage(answer.usage)


def _parsed(body: bytes) -> _Whole:
    answer = decode(body, _WHOLES)
    if answer is None:
        raise failed("malformed_body")
    return answer


def decode(data: bytes, decoder: msgspec.json.Decoder[_Shape]) -> _Shape | None:
    """JSON in the decoder's shape; None if it isn't. Invalid UTF-8 is replaced, not refused."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return decoder.decode(data.decode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return None


def count(value: int | None) -> int | None:
    """A token count, if it can be one."""
    return value if value is not None and value >= 0 else None


def _finish(choice: _Choice | _WholeChoice) -> Finish:
    reason = choice.finish_reason or "stop"
    met = choice.stop_reason if choice.stop_reason is not None else choice.matched_stop
    # Text only: the end of a turn is a token, told as its number.
    if reason == "stop" and isinstance(met, str):
        return Finish("stop_sequence", met)
    return Finish(reason)


def _usage(usage: _Usage) -> Usage:
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        count(usage.prompt_tokens),
        count(usage.completion_tokens),
        None if given is None else count(given.cached_tokens),
        None if made is None else count(made.reasoning_tokens),
    )
