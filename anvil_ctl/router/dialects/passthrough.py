"""A stream sent on in its own dialect: whole events as they were written, not decoded again.

Only the first events (until the upstream has shown that it answers) and the last ones are read.
In between, a byte search finds what must not pass: an error event, or usage nobody asked for.
"""

from __future__ import annotations

import re
from collections import deque

import msgspec

from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.dialects.delta import CONTENT, Delta, Ended, Finish, Usage
from anvil_ctl.router.dialects.recode import Counts, Write, error_event, reader
from anvil_ctl.upstream.failure import failed
from anvil_ctl.upstream.response import Sink
from anvil_ctl.upstream.sse import MAX_EVENT, EventDecoder

_ERROR = re.compile(rb'(?:^|\n)(?:event: ?error|data: ?\{"error"|data: ?\{"type": ?"error")')
_USAGE_ONLY = re.compile(rb'"choices": ?\[\]')
_BLANK = re.compile(rb"\n\n|\r\n\r\n")
_MODEL = re.compile(rb'"model": ?("[^"\\]*(?:\\.[^"\\]*)*")')
# An event of one choice whose text is not empty. In JSON no text can look like its own frame.
_FIRST_TEXT = re.compile(
    rb'^data: ?\{[^{}\[\]]*"choices": ?\[\{[^{}\[\]]*"delta": ?\{(?:"role": ?"assistant", ?)?'
    rb'"content": ?"[^"]',
    re.MULTILINE,
)
_DONE = b"\ndata: [DONE]\n\n"
# The finish reason, usage and terminator of a stream fit in the second of these sizes (bytes), and
# mostly in the first, and come in up to four reads.
_TAILS = (512, 16 << 10)
_TAIL_READS = 4
_KEPT = 2 * _TAILS[-1]
# This much is decoded at a time while looking for the beginning.
_STEP = 1 << 10


class Passthrough:
    """Sends a stream on. `model`: a JSON string to put in place of the upstream's name, if any.

    Token counts are those of the first events and, once `whole` was asked for, of the last.
    """

    __slots__ = (
        "_dialect", "_ended", "_finished", "_last", "_model", "_needle", "_rest", "_strip_usage",
        "_tail", "_usage", "_write", "ready",
    )  # fmt: skip

    def __init__(self, dialect: Dialect, *, model: bytes | None, include_usage: bool) -> None:
        self._dialect = dialect
        self._model = b"" if model is None else b'"model":' + model
        self._needle: bytes | None = None
        self._strip_usage = dialect is Dialect.OPENAI and not include_usage
        self._ended = False
        self._finished = False
        self._rest = b""
        self._last: deque[bytes] = deque(maxlen=_TAIL_READS)
        self._tail = b""
        self._usage = Usage()
        self.ready = False

    @property
    def whole(self) -> bool:
        """Whether the answer has reached its terminator."""
        if not self._ended:
            self._tail = b"".join(self._last)[-_KEPT:]
            self._last.clear()
            if self._dialect is Dialect.OPENAI and self._tail.endswith(_DONE):
                self._ended = True  # all else that its end says is read when somebody asks
            else:
                self._read_tail()
        return self._ended or (self._finished and self._dialect is Dialect.OPENAI)

    def counts(self) -> Counts:
        """What gives the token counts."""
        return self._counts

    def feed(self, data: bytes) -> bytes:
        """The events that these bytes complete."""
        if self._rest or not data.endswith(b"\n\n"):
            data = self._cut(self._rest + data)
            if not data:
                return b""
        if not self.ready:
            self._read_first(data)
        # `find`, and one short word: each byte is looked at once, in 0.1 us for a usual event.
        if data.find(b"error") >= 0:
            self._refuse_error(data)
        self._last.append(data)
        needle = self._needle
        if needle is not None:
            data = data.replace(needle, self._model)
        if self._strip_usage and data.find(b'"usage"') >= 0 and _USAGE_ONLY.search(data):
            data = _without_usage(data)
        return data

    def passing(self, write: Write) -> Sink:
        """`feed`, then `write`, for all that comes once `ready`: in one step where that can be."""
        self._write: Write = write
        return self._pass

    def _pass(self, data: bytes) -> bool:
        if (
            self._rest
            or not data.endswith(b"\n\n")
            or data.find(b"error") >= 0
            or (self._strip_usage and data.find(b'"usage"') >= 0)
        ):
            self._write(self.feed(data))
            return False
        self._last.append(data)
        needle = self._needle
        self._write(data if needle is None else data.replace(needle, self._model))
        return False

    def finish(self) -> bytes:
        """What is left. Raises UpstreamError if the answer was cut off."""
        rest, self._rest = self._rest, b""
        out = self.feed(rest.rstrip(b"\r\n") + b"\n\n") if rest.strip() else b""
        if not self.whole:
            raise failed("truncated")
        if self._dialect is Dialect.OPENAI and not self._ended:
            out += b"data: [DONE]\n\n"  # some engines stop at the finish reason
        return out

    def error(self, kind: str, message: str) -> bytes:
        """The last bytes of a stream that can't be finished."""
        return error_event(self._dialect, kind, message)

    def _cut(self, data: bytes) -> bytes:
        """Keep back an event that isn't complete: what follows it might have to be an error."""
        end = _after_last_event(data)
        self._rest = data[end:]
        if len(self._rest) > MAX_EVENT:
            raise failed("event_too_large")
        return data[:end]

    def _read_first(self, data: bytes) -> None:
        if _FIRST_TEXT.search(data) and data.find(b'"usage"') < 0:
            self.ready = True  # what most streams begin with; the rest would only be looked at
        else:
            self._decode_first(data)
        found = _MODEL.search(data) if self._model and self._needle is None else None
        if found is not None and found[0] != self._model:
            self._needle = found[0]

    def _decode_first(self, data: bytes) -> None:
        decoder, events = EventDecoder(), reader(self._dialect)
        for start in range(0, len(data), _STEP):
            for event in decoder.feed(data[start : start + _STEP]):
                self._note(events.read(event))
            if self.ready:
                break  # a fast engine's first read may hold hundreds of events more

    def _refuse_error(self, data: bytes) -> None:
        """An upstream's own error text may name hosts and paths, so it is not sent on."""
        if _ERROR.search(data.replace(b"\r\n", b"\n")):
            raise failed("error_in_stream")

    def _counts(self) -> Usage:
        if self._tail:
            self._read_tail()
        return self._usage

    def _read_tail(self) -> None:
        """Read events from the last one back, until the end and its usage are known."""
        tail, self._tail = self._tail, b""
        first, self._usage = self._usage, Usage()
        for size in _TAILS:
            start = tail.find(b"\n\n", len(tail) - size) + 2 if len(tail) > size else 0
            events = reader(self._dialect)
            for event in reversed(EventDecoder().feed(tail[start:])):
                later, self._usage = self._usage, Usage()
                self._note(events.read(event))
                self._usage = self._usage.updated(later)
                if self._ended and self._usage.output is not None:
                    break
            if not start or (self._ended and self._usage.output is not None):
                break
        self._usage = first.updated(self._usage)

    def _note(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if isinstance(delta, CONTENT):
                self.ready = True
                self._ended = self._ended or isinstance(delta, Ended)
                self._finished = self._finished or isinstance(delta, Finish)
            elif isinstance(delta, Usage):
                self._usage = self._usage.updated(delta)


def renamed(body: bytes, model: bytes | None) -> bytes:
    """A whole answer, a JSON object, under the name `model`, a JSON string; None changes nothing.

    Where the key can be told from its bytes alone, no other byte of the answer changes.
    """
    if model is None:
        return body
    start = body.find(b'"model"')
    found = _MODEL.match(body, start) if start > 0 else None
    if found is not None and _is_only_key(body, start):
        return b"".join((body[: found.start(1)], model, body[found.end() :]))
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    fields["model"] = msgspec.Raw(model)
    return msgspec.json.encode(fields)


def _is_only_key(body: bytes, start: int) -> bool:
    """Whether what looks like a key is surely one, of the outermost object and not said twice."""
    quoted = body[start - 1] == ord("\\")
    only = body.find(b'"model"', start + 1) < 0
    return only and not quoted and body.count(b"{", 0, start) == 1


def _without_usage(data: bytes) -> bytes:
    """Whole events without those that hold nothing but usage."""
    kept: list[bytes] = []
    at = 0
    while (found := _USAGE_ONLY.search(data, at)) is not None:
        start, blank = _after_last_event(data, at, found.start()), _BLANK.search(data, found.end())
        end = blank.end() if blank is not None else len(data)
        only = data.find(b'"usage"', start, end) >= 0
        kept.append(data[at : start if only else end])
        at = end
    kept.append(data[at:])
    return b"".join(kept)


def _after_last_event(data: bytes, start: int = 0, end: int | None = None) -> int:
    """The position behind the last empty line from `start` to before `end`; `start` without one."""
    plain, long = data.rfind(b"\n\n", start, end), data.rfind(b"\r\n\r\n", start, end)
    return max(plain + 2 if plain >= 0 else start, long + 4 if long >= 0 else start)
