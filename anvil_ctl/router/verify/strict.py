"""JSON as the standard has it: no NaN, no infinite numbers, no bottomless nesting."""

from __future__ import annotations

import json

import msgspec

_LINES = msgspec.json.Decoder()


def is_json(text: str) -> bool:
    """Whether the text is JSON and nothing else."""
    try:
        msgspec.json.decode(text)
    except msgspec.ValidationError as error:
        # A number beyond a float is no number; a whole one of any length is.
        return str(error).startswith("Integer")
    except (msgspec.DecodeError, UnicodeEncodeError):
        return "\\u" in text and _lenient(text) is not None
    except RecursionError:
        return False
    return True


def is_json_lines(text: str) -> bool:
    """Whether every line is JSON."""
    try:
        _LINES.decode_lines(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def value_of(text: str) -> object:
    """What JSON says; msgspec.UNSET where no more can be told than that it is JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        found = _lenient(text)
        return msgspec.UNSET if found is None else found[0]


def _lenient(text: str) -> list[object] | None:
    """The value, in a list, by a reader that allows half a surrogate pair, as the grammar does."""

    def refuse(word: str) -> object:
        raise ValueError(word)

    try:
        return [json.loads(text, parse_constant=refuse)]
    except (ValueError, RecursionError):
        return None
