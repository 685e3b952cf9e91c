"""Log lines: JSON for a machine, plain text on a terminal."""

from __future__ import annotations

import logging
import sys
import time

import msgspec


class JsonLines(logging.Formatter):
    """One JSON object a line. An access line's `fields` become keys of their own."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        return msgspec.json.encode(line).decode()


class Plain(logging.Formatter):
    """Time, level, message and fields, for a person."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        text = " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())
        line = f"{_utc(record.created)} {record.levelname:<7} {record.getMessage()} {text}"
        return line.rstrip()


def set_up(level: int = logging.INFO) -> None:
    """Send this program's log to stderr."""
    channel = logging.StreamHandler(sys.stderr)
    channel.setFormatter(Plain() if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(level=level, handlers=[channel], force=True)
    # Frames, threads and processes are looked up for every record unless switched off.
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False


def clock(seconds: int) -> str:
    """A time in Unix seconds, in UTC, to the second and without a zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def milliseconds(seconds: float) -> float:
    """To the tenth, as lines and records tell durations. A third of the time that `round` takes."""
    return int(seconds * 10_000 + 0.5) / 10


def _utc(created: float) -> str:
    return f"{clock(int(created))}.{int(created % 1 * 1000):03d}Z"


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)
