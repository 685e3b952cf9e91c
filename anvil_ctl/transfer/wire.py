"""One JSON object a line to the command line, which shows it. Safe for several threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

Send = Callable[[Mapping[str, Any]], None]


class Wire:
    """Writes lines; a reader that has gone is no failure of what goes on."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
            except OSError:
                return


def note(text: str) -> dict[str, Any]:
    """A line for people: a retry, a wait, something that was found."""
    return {"say": "note", "text": text}


def result(value: object) -> dict[str, Any]:
    """What was asked for. Nothing follows it."""
    return {"say": "result", "value": value}


def failed(kind: str, text: str) -> dict[str, Any]:
    """Why there is no result. Nothing follows it."""
    return {"say": "failed", "kind": kind, "text": text}
