"""Fenced blocks of a text, found in one pass over the lines that have a fence in them.

Each character is looked at a bounded number of times whatever the text is, and after some thousand
fences the rest is left alone: nobody writes that many, and nobody may make us read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_MOST_LINES = 4000
# What may stand before a fence: quotes, indentation, a list's mark. Possessive: no way back.
_FENCE = re.compile(r"([ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)?+)(`{3,}+|~{3,}+)(.*+)")


class Fence(msgspec.Struct, frozen=True):
    """One block. `tag` is its language, in lower case. `start` and `end` enclose it, marks and all.

    The body has lost the quote marks and the indentation that the opening fence has too.
    """

    tag: str
    body: str
    closed: bool
    start: int
    end: int


class _Open(msgspec.Struct, frozen=True):
    prefix: str
    marks: str
    tag: str
    start: int
    body_start: int


def scan(text: str) -> tuple[Fence, ...]:
    """The blocks of the text, in order. Only the last can lack its end, and is left out where it
    may be the end of another: models write blocks inside blocks with fences of one length."""
    found: list[Fence] = []
    opened: _Open | None = None
    nested = False
    for number, (start, end, line) in enumerate(_lines(text)):
        if number == _MOST_LINES:
            return tuple(found)
        if line is None:
            continue
        prefix, marks, info = line.groups()
        if opened is None:
            whole = _on_one_line(start, end, marks, info)
            if whole is not None:
                found.append(whole)
            elif "`" not in info or marks[0] == "~":
                opened = _Open(prefix, marks, _tag(info), start, min(end + 1, len(text)))
        elif marks[0] == opened.marks[0] and len(marks) >= len(opened.marks):
            if info.strip():
                nested = True
            else:
                found.append(_block(text, opened, start, end))
                opened = None
    if opened is not None and not nested:
        body = text[opened.body_start :]
        found.append(Fence(opened.tag, body, False, opened.start, len(text)))
    return tuple(found)


def _lines(text: str) -> Iterator[tuple[int, int, re.Match[str] | None]]:
    """The lines with a fence's marks in them: where they are, and their parts if they are one."""
    at, size = 0, len(text)
    ticks = tildes = -1
    while at < size:
        # Each mark is searched for only once it has been passed.
        if ticks < at:
            ticks = _find(text, "```", at)
        if tildes < at:
            tildes = _find(text, "~~~", at)
        where = min(ticks, tildes)
        if where == size:
            return
        start = text.rfind("\n", at, where) + 1 or at
        end = _find(text, "\n", where)
        yield start, end, _FENCE.match(text, start, end)
        at = end + 1


def _find(text: str, mark: str, at: int) -> int:
    """Where the mark is next; the text's length where it is no more."""
    found = text.find(mark, at)
    return found if found >= 0 else len(text)


def _on_one_line(start: int, end: int, marks: str, info: str) -> Fence | None:
    """A block that begins and ends on one line."""
    stripped = info.rstrip()
    if marks[0] != "`" or not stripped.endswith(marks):
        return None
    tag, _, body = stripped.removesuffix(marks).strip().partition(" ")
    return Fence(tag.lower(), body, True, start, end)


def _block(text: str, opened: _Open, start: int, end: int) -> Fence:
    body = text[opened.body_start : max(opened.body_start, start - 1)]
    if opened.prefix:
        body = _unquoted(body, opened.prefix)
    return Fence(opened.tag, body, True, opened.start, end)


def _unquoted(body: str, prefix: str) -> str:
    """The body without what its lines share with the opening line: quotes first, then spaces."""
    quotes, width = prefix.count(">"), len(prefix) - len(prefix.rstrip(" \t"))
    width = width if quotes else len(prefix)
    return "\n".join(_strip(line, quotes, width) for line in body.split("\n"))


def _strip(line: str, quotes: int, width: int) -> str:
    for _ in range(quotes):
        bare = line.lstrip(" \t")
        if not bare.startswith(">"):
            break
        line = bare[1:]
    indent = len(line) - len(line.lstrip(" \t"))
    return line[min(indent, width) :]


def _tag(info: str) -> str:
    words = info.split(None, 1)
    return words[0].strip("{}.").lower() if words else ""
