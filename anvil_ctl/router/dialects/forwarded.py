"""Requests that are sent on as they are: only the model's name is read, and replaced."""

from __future__ import annotations

import msgspec

from anvil_ctl.router.dialects.call import BadRequestError
from anvil_ctl.router.dialects.delta import Usage
from anvil_ctl.router.dialects.openai_reader import count, decode
from anvil_ctl.upstream.failure import failed


class Forwarded(msgspec.Struct, frozen=True):
    """One request. `endpoint` is the last part of its path, and `fields` its
    body, each field as the bytes that the caller sent."""

    endpoint: str
    model: str
    stream: bool
    fields: dict[str, msgspec.Raw]


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Answer(msgspec.Struct):
    usage: _Counts | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)


def parse(endpoint: str, body: bytes) -> Forwarded:
    """Read a request body. Raises BadRequestError naming the field."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError("The body must be a JSON object.", kind="invalid_request") from error
    model, stream = fields.get("model"), fields.get("stream")
    name = _value(model)
    if not isinstance(name, str) or not name.strip():
        raise BadRequestError("model: must be a non-empty string")
    streams = _value(stream)
    if not isinstance(streams, bool | None):
        raise BadRequestError("stream: must be a boolean")
    return Forwarded(endpoint, name, streams is True, fields)


def body(request: Forwarded, model: str) -> bytes:
    """The body that the engine gets."""
    return msgspec.json.encode({**request.fields, "model": model})


def usage(answer: bytes) -> Usage:
    """What an answer says of its tokens. Raises UpstreamError if it is no JSON object."""
    read = decode(answer, _ANSWERS)
    if read is None:
        raise failed("malformed_body")
    counts = read.usage or _Counts()
    return Usage(count(counts.prompt_tokens), count(counts.completion_tokens))


def _value(raw: msgspec.Raw | None) -> object:
    return None if raw is None else msgspec.json.decode(raw)
