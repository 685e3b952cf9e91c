"""One decision in one line of words, for people and for grep. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

# What would end a field, or a line, or join two tiers.
_UNSAFE = re.compile(r"[\s>\x00-\x1f\x7f-\x9f]+")


def line(record: Mapping[str, object]) -> str:
    """The line of a record: label=value, with one space between. Values come from anywhere, so
    none of them can hold a space, a line's end or a `>`; what is missing is `-`."""
    return " ".join(f"{label}={value}" for label, value in _fields(record))


def _fields(record: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    served = record.get("outcome") == "served"
    failed = record.get("failed")
    tried = [each[0] for each in failed] if isinstance(failed, list) else []
    tier = record.get("tier")
    ms = record.get("total_ms")
    yield "intent", _said(record.get("preset"))
    yield "work_class", _said(record.get("work_class"))
    yield "served", _said(tier if served else None)
    yield "verify", "pass" if served else "fail"
    yield "fell_back", "true" if tried else "false"
    yield "tiers", ">".join(map(_said, [*tried, *([tier] if tier is not None else [])])) or "-"
    yield "prompt", _said(record.get("input_tokens"))
    yield "completion", _said(record.get("output_tokens"))
    yield "id", _said(record.get("decision_id"))
    yield "ms", _said(round(ms) if isinstance(ms, int | float) else None)
    yield "mode", _said(record.get("mode"))


def _said(value: object) -> str:
    return "-" if value in (None, "") else _UNSAFE.sub("_", str(value))
