"""Reads what weights files begin with: safetensors headers and GGUF metadata. No file is opened.

Whatever is not as the formats have it is a Malformed, which says what.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

# The format's own limit: a larger header is an attack, or no safetensors file.
_LARGEST_HEADER = 100_000_000
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_TEXT, _LIST = 8, 9
# Vocabularies are lists of 100,000 texts, and nobody here reads them.
_KEPT_LIST = 1024


class Malformed(ValueError):  # noqa: N818 - it describes the file
    """A file is not of the format that its name says."""


def safetensors(file: BinaryIO, size: int) -> Mapping[str, Any]:
    """The header of a safetensors file of `size` bytes, whose tensors then fill it exactly."""
    length = int.from_bytes(_read(file, 8), "little")
    if length > min(_LARGEST_HEADER, size - 8):
        raise Malformed(f"its header would be {length} bytes of {size}")
    try:
        header = json.loads(_read(file, length))
        end = max(
            (each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"),
            default=0,
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise Malformed(f"its header cannot be read: {error}") from error
    if 8 + length + end != size:
        raise Malformed(f"its header describes {8 + length + end} bytes, and it has {size}")
    return dict(header)


def gguf(file: BinaryIO) -> Mapping[str, Any]:
    """The metadata of a GGUF file; long lists are left out, as their lengths."""
    if _read(file, 4) != b"GGUF":
        raise Malformed("it does not begin with GGUF")
    version, _tensors, count = struct.unpack("<IQQ", _read(file, 20))
    if version not in {2, 3}:
        raise Malformed(f"it is GGUF version {version}, and 2 and 3 are known")
    found: dict[str, Any] = {}
    for _ in range(min(count, 100_000)):
        name = _text(file)
        found[name] = _value(file, *struct.unpack("<I", _read(file, 4)))
    return found


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind == _LIST:
        inner, count = struct.unpack("<IQ", _read(file, 12))
        if count <= _KEPT_LIST:
            return [_value(file, inner) for _ in range(count)]
        _pass(file, inner, count)
        return f"{count} values"
    if kind not in _SCALARS:
        raise Malformed(f"its metadata has a value of the unknown kind {kind}")
    code = f"<{_SCALARS[kind]}"
    return struct.unpack(code, _read(file, struct.calcsize(code)))[0]


def _pass(file: BinaryIO, kind: int, count: int) -> None:
    if kind in _SCALARS:
        file.seek(count * struct.calcsize(f"<{_SCALARS[kind]}"), 1)
        return
    if kind != _TEXT:
        raise Malformed(f"its metadata has a list of the unknown kind {kind}")
    for _ in range(count):
        file.seek(struct.unpack("<Q", _read(file, 8))[0], 1)


def _text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", _read(file, 8))
    if length > 1 << 26:
        raise Malformed(f"its metadata has a text of {length} bytes")
    return _read(file, length).decode("utf-8", "replace")


def _read(file: BinaryIO, count: int) -> bytes:
    found = file.read(count)
    if len(found) != count:
        raise Malformed("it ends within its header")
    return found
