"""What takes bytes from outside, and what must hold whatever these are.

Each target is a function of bytes that raises where something does not hold. The same functions
are run on the kept corpus by the checks, on bytes that hypothesis makes up, and by the
coverage-guided fuzzer (`make fuzz`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects import passthrough, recode, responses_request
from anvil_ctl.router.dialects.answer import Answer, Stamp
from anvil_ctl.router.dialects.call import BadRequestError, Call, Dialect
from anvil_ctl.router.dialects.passthrough import Passthrough
from anvil_ctl.router.dialects.recode import Recoder, Translate
from anvil_ctl.router.dialects.upstream_body import Target, build
from anvil_ctl.serving import framing
from anvil_ctl.serving.message import Limits
from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.sse import EventDecoder, ServerEvent

STAMP = Stamp("0123456789ab", 5, "chat")
LIMITS = Limits(max_body=100_000, max_head=8192)
_LENGTH_LINE = re.compile(
    rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE
)
_CODED_LINE = re.compile(rb"[\r\n][ \t]*transfer-encoding[\x00-\x20]*:", re.IGNORECASE)
_ENGINES = (Dialect.OPENAI, Dialect.ANTHROPIC)
_ASKS: tuple[tuple[Dialect, bytes], ...] = (
    (Dialect.OPENAI, b'{"messages":[{"role":"user","content":"x"}],"stream":true}'),
    (Dialect.ANTHROPIC, b'{"messages":[{"role":"user","content":"x"}],"max_tokens":5}'),
    (Dialect.RESPONSES, b'{"input":"x","stream":true}'),
)


def head(data: bytes) -> None:
    """A head that is accepted says once, and in one way, where its request ends."""
    raw = data.replace(b"\r\n\r\n", b"\r\n") + b"\r\n\r\n"
    framed = framing.read_head(raw, LIMITS)
    if framed.fault is not None or framed.unread:
        assert framed.close, "a faulty head must end its connection"
        return
    assert not _CODED_LINE.search(raw), "transfer-encoding got through"
    lengths = _LENGTH_LINE.findall(raw)
    if lengths:
        assert len(lengths) == 1, "two lengths got through"
        assert lengths[0].isdigit(), "a length that is no number got through"
        assert int(lengths[0]) == framed.length
    else:
        assert framed.length == 0
        assert framed.request.method in framing.BODILESS
    assert b"\n" not in raw.replace(b"\r\n", b""), "a line ended without its CR"
    assert b"\r" not in raw.replace(b"\r\n", b"")


def request(data: bytes) -> None:
    """A body is a call or the caller's fault, and a call becomes JSON for either dialect."""
    for dialect in (Dialect.OPENAI, Dialect.ANTHROPIC, Dialect.RESPONSES):
        try:
            call = parse(dialect, data)
        except BadRequestError:
            continue
        for spoken in _ENGINES:
            for local in (True, False):
                try:
                    target = Target(spoken, "m", local, bound="max_completion_tokens")
                    body = build(call, target, stream=call.stream)
                except BadRequestError:
                    continue
                sent = json.loads(body)
                assert sent["model"] == "m"
                assert isinstance(sent["messages"], list)
                assert spoken is Dialect.ANTHROPIC or "max_tokens" not in sent


def stream(data: bytes) -> None:
    """A stream is relayed alike however it is cut, and never ends well without its terminator."""
    for engine in _ENGINES:
        for made in recoders(engine):
            outcomes = {relayed(made(), pieces) for pieces in cuts(data)}
            assert len(outcomes) == 1, f"{engine}: it depends on where the stream is cut"


def events(data: bytes) -> None:
    """Events are the same however their bytes are cut."""
    found = {decoded(pieces) for pieces in cuts(data)}
    assert len(found) == 1, "it depends on where the stream is cut"


def answer(data: bytes) -> None:
    """An unstreamed answer is malformed, or can be said in every dialect."""
    for engine in _ENGINES:
        try:
            deltas = recode.reader(engine).whole(data)
        except UpstreamError:
            continue
        put = Answer()
        put.extend(deltas)
        for dialect, ask in _ASKS:
            call = parse(dialect, ask)
            json.loads(recode.render(call, put, STAMP))
            assert recode.replay(deltas, recode.writer(call, STAMP))
        assert (
            json.loads(passthrough.renamed(data, b'"n"').decode("utf-8", "replace"))["model"] == "n"
        )


TARGETS: dict[str, Callable[[bytes], None]] = {
    "head": head,
    "request": request,
    "stream": stream,
    "events": events,
    "answer": answer,
}


class _Made(Protocol):
    def __call__(self) -> Recoder:
        """A new one."""


def parse(dialect: Dialect, body: bytes) -> Call:
    """A body as the router's endpoint of that dialect reads it."""
    if dialect is Dialect.RESPONSES:
        return responses_request.parse(body)
    return calls.parse(dialect, body)


def recoders(engine: Dialect) -> Iterator[_Made]:
    """Every way in which an engine's stream may be sent on, under the engine's own name.

    Another name is put in from the engine's first words on; one that it gives itself later stays.
    """
    for dialect, ask in _ASKS:
        call = parse(dialect, ask)
        if dialect is engine:
            yield lambda: Passthrough(engine, model=None, include_usage=False)
            yield lambda: Passthrough(engine, model=None, include_usage=True)
        else:
            yield lambda call=call: Translate(engine, recode.writer(call, STAMP))


def relayed(recoder: Recoder, pieces: list[bytes]) -> tuple[ServerEvent, ...] | str:
    """The events that the client gets, or how it fails. Empty lines between events are none."""
    out = b""
    try:
        for piece in pieces:
            out += recoder.feed(piece)
        out += recoder.finish()
    except UpstreamError as error:
        return error.failure.reason
    return decoded([out])


def decoded(pieces: list[bytes]) -> tuple[ServerEvent, ...] | str:
    """The events in these bytes."""
    decoder, found = EventDecoder(), []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        found += decoder.finish()
    except UpstreamError as error:
        return error.failure.reason
    return tuple(found)


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes in one piece, in every byte, and in a few ways between."""
    yield [data]
    for size in (1, 2, 7, 64):
        if size < len(data) <= 4096 or (size > 2 and size < len(data)):
            yield [data[at : at + size] for at in range(0, len(data), size)]
    middle = data[0] * len(data) // 256 if data else 0
    yield [data[:middle], data[middle:]]
