"""From an upstream's stream to the client's: what is sent on, and when it may begin.

A recoder is fed the upstream's bytes as they are read and returns those for the client. It is
`ready` once the upstream has shown that it answers; until then nothing has been promised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from anvil_ctl.router.dialects import (
    anthropic_reader,
    anthropic_writer,
    openai_reader,
    openai_writer,
    responses_writer,
)
from anvil_ctl.router.dialects.answer import Answer, Stamp
from anvil_ctl.router.dialects.anthropic_reader import AnthropicReader
from anvil_ctl.router.dialects.anthropic_writer import AnthropicWriter
from anvil_ctl.router.dialects.call import Call, Dialect
from anvil_ctl.router.dialects.delta import (
    CONTENT,
    Delta,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Usage,
)
from anvil_ctl.router.dialects.openai_reader import OpenAIReader
from anvil_ctl.router.dialects.openai_writer import OpenAIWriter
from anvil_ctl.router.dialects.responses_writer import ResponsesWriter
from anvil_ctl.upstream.failure import failed
from anvil_ctl.upstream.response import Sink
from anvil_ctl.upstream.sse import EventDecoder, ServerEvent

# The most of an answer that is kept in memory, in bytes; a piece takes some besides its text.
MAX_KEPT = 64 << 20
_PIECE = 64
_PIECES = (Text, Thinking, ToolArguments)
# Gives token counts when it is called, which may be long after; it keeps no text until then.
Counts = Callable[[], Usage]
Write = Callable[[bytes], None]


class Reader(Protocol):
    """Reads one dialect."""

    def read(self, event: ServerEvent) -> list[Delta]:
        """What one event says."""

    def whole(self, body: bytes) -> list[Delta]:
        """What an unstreamed answer says."""


class Writer(Protocol):
    """Writes one dialect's stream."""

    def begin(self, usage: Usage) -> bytes:
        """What comes before the first delta."""

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """These deltas."""

    def end(self, answer: Answer) -> bytes:
        """What comes after the last; `answer` is all of them together."""

    def error(self, kind: str, message: str) -> bytes:
        """What ends a stream that can't be finished."""


class Recoder(Protocol):
    """Upstream bytes in, client bytes out."""

    @property
    def ready(self) -> bool:
        """Whether the upstream has begun to answer."""

    @property
    def whole(self) -> bool:
        """Whether the answer has reached its terminator."""

    def counts(self) -> Counts:
        """What gives the token counts seen so far."""

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client. Raises UpstreamError if the upstream reports an error."""

    def passing(self, write: Write) -> Sink:
        """What does `feed`, then `write`, for all that comes once `ready`."""

    def finish(self) -> bytes:
        """The last bytes for the client. Raises UpstreamError if the answer was cut off."""

    def error(self, kind: str, message: str) -> bytes:
        """The last bytes of a stream that can't be finished."""


def reader(dialect: Dialect, *, answer: str | None = None) -> Reader:
    """The reader of a dialect. `answer`: the tool whose input is the answer's text, if any."""
    return OpenAIReader() if dialect is Dialect.OPENAI else AnthropicReader(answer=answer)


def counts(dialect: Dialect, body: bytes) -> Usage:
    """What an unstreamed answer says of its tokens. Raises UpstreamError if it is malformed."""
    return (
        openai_reader.counts(body) if dialect is Dialect.OPENAI else anthropic_reader.counts(body)
    )


def writer(call: Call, stamp: Stamp) -> Writer:
    """The writer of the stream that answers a call."""
    if call.asked is not None:
        return ResponsesWriter(stamp, call.asked)
    if call.dialect is Dialect.OPENAI:
        return OpenAIWriter(stamp, include_usage=call.include_usage)
    return AnthropicWriter(stamp)


def render(call: Call, answer: Answer, stamp: Stamp) -> bytes:
    """The unstreamed answer to a call."""
    if call.asked is not None:
        return responses_writer.whole(answer, stamp, call.asked)
    if call.dialect is Dialect.OPENAI:
        return openai_writer.whole(answer, stamp)
    return anthropic_writer.whole(answer, stamp)


def error_event(dialect: Dialect, kind: str, message: str) -> bytes:
    """The event that ends a stream which can't be finished."""
    if dialect is Dialect.OPENAI:
        return openai_writer.error_event(kind, message)
    return anthropic_writer.error_event(kind, message)


class Collect:
    """Puts a stream together, for a client that wants the answer whole."""

    __slots__ = ("_decoder", "_reader", "answer", "size")

    def __init__(self, source: Dialect, *, answer: str | None = None) -> None:
        self._decoder = EventDecoder()
        self._reader = reader(source, answer=answer)
        self.answer = Answer()
        self.size = 0

    @property
    def whole(self) -> bool:
        """Whether the answer has reached its terminator, or an engine's only sign of an end."""
        return self.answer.ended or (
            self.answer.reason is not None and isinstance(self._reader, OpenAIReader)
        )

    def feed(self, data: bytes) -> list[Delta]:
        """Take in bytes; the deltas that they hold."""
        events = self._decoder.feed(data)
        return self._take(events) if events else []

    def finish(self) -> list[Delta]:
        """The stream is over. Raises UpstreamError if the answer isn't."""
        deltas = self._take(self._decoder.finish())
        if not self.whole:
            raise failed("truncated")
        return deltas

    def _take(self, events: list[ServerEvent]) -> list[Delta]:
        read = self._reader.read
        deltas = (
            read(events[0]) if len(events) == 1 else [d for event in events for d in read(event)]
        )
        answer = self.answer
        for delta in deltas:
            if isinstance(delta, _PIECES):
                self.size += _PIECE + len(delta.text)
            elif isinstance(delta, ToolStart):
                self.size += _PIECE + len(delta.id) + len(delta.name)
            answer.add(delta)
        if self.size > MAX_KEPT:
            raise failed("too_large")
        if answer.broken:
            raise failed("error_in_stream")
        return deltas


class Translate:
    """Re-encodes a stream into the other dialect, delta by delta."""

    __slots__ = ("_collect", "_counted", "_writer", "ready")

    def __init__(self, source: Dialect, target: Writer, *, answer: str | None = None) -> None:
        self._collect = Collect(source, answer=answer)
        self._writer = target
        self._counted = Usage()
        self.ready = False

    @property
    def whole(self) -> bool:
        """Whether the answer has reached its terminator."""
        return self._collect.whole

    def counts(self) -> Counts:
        """What gives the token counts seen so far."""
        usage = self._collect.answer.usage
        return lambda: usage

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client."""
        deltas = self._collect.feed(data)
        if self.ready:
            return self._writer.write(deltas) if deltas else b""
        return self._write(deltas)

    def passing(self, write: Write) -> Sink:
        """What does `feed`, then `write`, for all that comes once `ready`."""

        def passed(data: bytes) -> bool:
            write(self.feed(data))
            return False

        return passed

    def finish(self) -> bytes:
        """The last bytes for the client."""
        return self._write(self._collect.finish()) + self._writer.end(self._collect.answer)

    def error(self, kind: str, message: str) -> bytes:
        """The last bytes of a stream that can't be finished."""
        return self._writer.error(kind, message)

    def _write(self, deltas: list[Delta]) -> bytes:
        if not deltas:
            return b""
        if self.ready:
            return self._writer.write(deltas)
        # What is counted before the first content, and not what the same read also brought: the
        # client's stream must not depend on how the engine's was cut.
        for delta in deltas:
            if isinstance(delta, CONTENT):
                self.ready = True
                return self._writer.begin(self._counted) + self._writer.write(deltas)
            if isinstance(delta, Usage):
                self._counted = self._counted.updated(delta)
        return self._writer.write(deltas)


def replay(deltas: list[Delta], target: Writer) -> bytes:
    """An unstreamed answer as a stream."""
    answer = Answer()
    answer.extend(deltas)
    return target.begin(answer.usage) + target.write(deltas) + target.end(answer)
