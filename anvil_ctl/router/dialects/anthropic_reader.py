"""Anthropic's stream events and whole answers, read into deltas."""

from __future__ import annotations

import msgspec

from anvil_ctl.router.dialects.delta import (
    Broken,
    Delta,
    Ended,
    Finish,
    Named,
    Signature,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)
from anvil_ctl.router.dialects.openai_reader import count, decode
from anvil_ctl.upstream.failure import failed
from anvil_ctl.upstream.sse import ServerEvent


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None


class _Whole(msgspec.Struct):
    content: list[_Block]
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: _Usage | None = None


_EVENTS = msgspec.json.Decoder(_Event)
_WHOLES = msgspec.json.Decoder(_Whole)


_PIECE = "content_block_delta"


class AnthropicReader:
    """Turns the events of one stream into deltas."""

    __slots__ = ("_answer", "_answer_slot")

    def __init__(self, *, answer: str | None = None) -> None:
        # The tool whose input is the answer, and the slot of its call.
        self._answer = answer
        self._answer_slot: int | None = None

    def read(self, event: ServerEvent) -> list[Delta]:
        """What one event says. Events that can't be understood say nothing."""
        parsed = decode(event.data, _EVENTS)
        if parsed is None:
            return [Broken()] if event.name == "error" else []
        piece = parsed.delta
        if piece is not None and piece.text and parsed.type == _PIECE:
            return [Text(piece.text)]  # nearly every event there is
        deltas = _read(parsed, parsed.type or event.name)
        return deltas if self._answer is None else self._unwrapped(deltas)

    def _unwrapped(self, deltas: list[Delta]) -> list[Delta]:
        """The deltas with the answering tool's input as the text that it is."""
        out: list[Delta] = []
        for delta in deltas:
            match delta:
                case ToolStart(slot, _, name) if name == self._answer:
                    self._answer_slot = slot
                case ToolArguments(slot, text) if slot == self._answer_slot:
                    out.append(Text(text))
                case Finish("tool_use"):
                    out.append(Finish("end_turn"))
                case _:
                    out.append(delta)
        return out

    def whole(self, body: bytes) -> list[Delta]:
        """What an unstreamed answer says. Raises UpstreamError if it is malformed."""
        answer = _parsed(body)
        deltas: list[Delta] = [Named(answer.model)] if answer.model else []
        for index, block in enumerate(answer.content):
            deltas += _block(index, block, streamed=False)
        deltas.append(Finish(answer.stop_reason or "end_turn", answer.stop_sequence))
        if answer.usage is not None:
            deltas.append(_usage(answer.usage))
        deltas.append(Ended())
        return deltas if self._answer is None else self._unwrapped(deltas)


def counts(body: bytes) -> Usage:
    """What an unstreamed answer says of its tokens. Raises UpstreamError if it is malformed."""
    answer = _parsed(body)
    return Usage() if answer.usage is None else _usage(answer.usage)


def _parsed(body: bytes) -> _Whole:
    answer = decode(body, _WHOLES)
    if answer is None:
        raise failed("malformed_body")
    return answer


def _read(event: _Event, kind: str) -> list[Delta]:
    if kind == _PIECE and event.delta is not None:
        return _delta(event.index, event.delta)
    if kind == "content_block_start" and event.content_block is not None:
        return _block(event.index, event.content_block, streamed=True)
    if kind == "message_start":
        return _start(event.message or _Message())
    if kind == "message_delta":
        return _end(event)
    if kind == "message_stop":
        return [Ended()]
    return [Broken()] if kind == "error" else []


def _start(message: _Message) -> list[Delta]:
    deltas: list[Delta] = [Named(message.model)] if message.model else []
    if message.usage is not None:
        deltas.append(_usage(message.usage))
    return deltas


def _end(event: _Event) -> list[Delta]:
    deltas: list[Delta] = []
    if event.delta is not None and event.delta.stop_reason:
        deltas.append(Finish(event.delta.stop_reason, event.delta.stop_sequence))
    if event.usage is not None:
        deltas.append(_usage(event.usage))
    return deltas


def _delta(index: int, delta: _Delta) -> list[Delta]:
    if delta.text:
        return [Text(delta.text)]
    if delta.partial_json:
        return [ToolArguments(index, delta.partial_json)]
    if delta.thinking:
        return [Thinking(delta.thinking)]
    if delta.signature:
        return [Signature(delta.signature)]
    return []


def _block(index: int, block: _Block, *, streamed: bool) -> list[Delta]:
    deltas: list[Delta] = []
    if block.type == "tool_use":
        deltas.append(ToolStart(index, block.id or "", block.name or ""))
        # A streamed block starts with an empty input that its fragments then replace.
        given = bytes(block.input) or b"{}"
        if not streamed or given not in (b"{}", b"null"):
            deltas.append(ToolArguments(index, given.decode("utf-8", "replace")))
    elif block.type == "text" and block.text:
        deltas.append(Text(block.text))
    elif block.type == "thinking" and block.thinking:
        deltas.append(Thinking(block.thinking))
        if block.signature:
            deltas.append(Signature(block.signature))
    return deltas


def _usage(usage: _Usage) -> Usage:
    # OpenAI counts cached tokens as input, Anthropic beside it; Usage means it as OpenAI does.
    given, cached = count(usage.input_tokens), count(usage.cache_read_input_tokens)
    written = count(usage.cache_creation_input_tokens)
    whole = None if given is None else given + (cached or 0) + (written or 0)
    return Usage(whole, count(usage.output_tokens), cached)
