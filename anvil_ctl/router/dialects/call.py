"""A client's request, parsed and checked just far enough to route and forward it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from anvil_ctl.errors import AnvilError

if TYPE_CHECKING:
    from anvil_ctl.router.dialects.responses_writer import Asked

JSON = dict[str, object]


class Dialect(StrEnum):
    """A wire format. RESPONSES is one that callers speak and no tier does."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    RESPONSES = "responses"


class BadRequestError(AnvilError):
    """The caller's fault. `kind` is the error type of its answer."""

    def __init__(self, message: str, *, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.kind = kind


class Call(msgspec.Struct, frozen=True):
    """One completion request. `raw` is the whole body as the caller sent it; never change it.

    A Responses request's `raw` is that request as a chat, and `asked` what its answer needs of it.
    """

    dialect: Dialect
    model: str
    stream: bool
    include_usage: bool
    raw: JSON
    asked: Asked | None = None

    @property
    def spoken(self) -> Dialect:
        """The dialect of `raw`."""
        return Dialect.OPENAI if self.asked is not None else self.dialect


_OPENAI_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_ANTHROPIC_ROLES = frozenset({"system", "user", "assistant"})
# Tuples: `str | list` in a check would be put together anew each time, which costs more than it.
_CONTENT = (str, list)
_NUMBER = (int, float)
_TEXT_OR_NONE = (str, type(None))
_LIST_OR_NONE = (list, type(None))
# Deeper bodies than this are rejected before anything walks them recursively.
_MAX_DEPTH = 128
_LARGE = 64 << 10


def parse_counted(body: bytes) -> Call:
    """Read the body of an Anthropic request whose tokens are to be counted."""
    raw = read_object(body)
    _check_counted(raw)
    return Call(Dialect.ANTHROPIC, model_of(raw), False, False, raw)


def parse(dialect: Dialect, body: bytes) -> Call:
    """Read a request body. Raises BadRequestError naming the field."""
    raw = read_object(body)
    stream = raw.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequestError("stream: must be a boolean")
    if dialect is Dialect.OPENAI:
        _check_openai(raw)
    else:
        _check_anthropic(raw)
    options = raw.get("stream_options")
    usage = isinstance(options, dict) and options.get("include_usage") is True
    return Call(dialect, model_of(raw), stream is True, usage, raw)


def read_object(body: bytes) -> JSON:
    """A body that is a JSON object. Raises BadRequestError."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError("The body is not valid JSON.", kind="invalid_request") from error
    if not isinstance(raw, dict):
        raise BadRequestError("The body must be a JSON object.", kind="invalid_request")
    # Looking for brackets is the cheaper way for a small body, walking the values for a large one.
    few = len(body) < _LARGE and body.count(b"[") + body.count(b"{") <= _MAX_DEPTH
    if not few and _depth(raw) > _MAX_DEPTH:
        raise BadRequestError("The body is nested too deeply.", kind="invalid_request")
    return raw


def model_of(raw: JSON) -> str:
    """The model's name, "" where the caller leaves it to us. Raises BadRequestError."""
    model = raw.get("model")
    if not isinstance(model, _TEXT_OR_NONE):
        raise BadRequestError("model: must be a string")
    return model or ""


def _depth(value: object) -> int:
    """How deeply containers are nested, counted without recursion."""
    level: list[object] = [value]
    depth = 0
    while level:
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += [x for x in item.values() if isinstance(x, dict | list)]
            elif isinstance(item, list):
                inner += [x for x in item if isinstance(x, dict | list)]
        depth += 1
        level = inner
        if depth > _MAX_DEPTH:
            break
    return depth


def _check_openai(raw: JSON) -> None:
    _check_conversation(raw, _OPENAI_ROLES)
    check_counts(raw, "max_tokens", "max_completion_tokens")
    check_sampling(raw, hottest=2.0)
    stop = raw.get("stop")
    if stop is not None and not isinstance(stop, str) and not _is_strings(stop):
        raise BadRequestError("stop: must be a string or a list of strings")


def _check_anthropic(raw: JSON) -> None:
    _check_counted(raw)
    if raw.get("max_tokens") is None:
        raise BadRequestError("max_tokens: Field required")
    check_counts(raw, "max_tokens")
    check_sampling(raw, hottest=1.0)
    stop = raw.get("stop_sequences")
    if stop is not None and not _is_strings(stop):
        raise BadRequestError("stop_sequences: must be a list of strings")


def _check_counted(raw: JSON) -> None:
    _check_conversation(raw, _ANTHROPIC_ROLES)
    system = raw.get("system")
    if system is not None and not isinstance(system, _CONTENT):
        raise BadRequestError("system: must be a string or a list of blocks")


def _check_conversation(raw: JSON, roles: frozenset[str]) -> None:
    messages = raw.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages: must be a list with at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequestError(f"messages.{number}: must be an object")
        role = message.get("role")
        if not isinstance(role, str) or role not in roles:
            raise BadRequestError(f"messages.{number}.role: must be one of {sorted(roles)}")
        content = message.get("content")
        absent = content is None and roles is _OPENAI_ROLES
        if not absent and not isinstance(content, _CONTENT):
            raise BadRequestError(f"messages.{number}.content: must be a string or a list")
    if not isinstance(raw.get("tools"), _LIST_OR_NONE):
        raise BadRequestError("tools: must be a list")


def check_counts(raw: JSON, *keys: str) -> None:
    """Raise if one of the fields is there and no count."""
    for key in keys:
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, _NUMBER) or isinstance(value, bool) or value < 1 or value % 1:
            raise BadRequestError(f"{key}: must be a whole number above 0")


def check_sampling(raw: JSON, *, hottest: float) -> None:
    """Raise if temperature (up to `hottest`) or top_p (up to 1) is there and no such number."""
    for key, most in (("temperature", hottest), ("top_p", 1.0)):
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, _NUMBER) or isinstance(value, bool) or not 0 <= value <= most:
            raise BadRequestError(f"{key}: must be a number from 0 to {most:g}")


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
