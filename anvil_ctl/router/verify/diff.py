"""Whether a diff could be applied as far as its own counts say. It never is."""

from __future__ import annotations

import re

from anvil_ctl.router.verify.view import LONGEST, Result, View

NAME = "DiffWellFormed"
_DOUBTFUL = 0.7
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
# Longer hunks are judged by their beginning.
_MOST_LINES = 20_000


def diff_well_formed(view: View) -> Result:
    """Fails on a hunk with a line that belongs in none, and on a missing header if a patch was
    asked for. Looks at ```diff blocks, and at hunks in the open text where there is no such block.
    """
    if len(view.text) > LONGEST:
        return Result(NAME, reason="too long to look at")
    blocks = [fence.body for fence in view.fences if fence.tag in ("diff", "patch")]
    if not blocks and not view.fences and "@@ -" in view.text:
        if all(_hunks_hold([view.text])):
            return Result(NAME)
        return Result(NAME, False, 0.0, "a hunk is broken")
    found = _hunks_hold(blocks)
    if not all(held is not False for held in found):
        return Result(NAME, False, 0.0, "a hunk is broken")
    if None in found:
        # Plus and minus lines alone are how people talk about changes.
        if view.asked.patch:
            return Result(
                NAME, False, 0.0, "a patch was asked for, and its hunk headers are missing"
            )
        return Result(NAME, True, _DOUBTFUL, "a diff without hunk headers")
    return Result(NAME)


def _hunks_hold(blocks: list[str]) -> list[bool | None]:
    """For each text whether its hunks hold; None where it has none."""
    return [_holds(block) for block in blocks]


def _holds(text: str) -> bool | None:
    seen: bool | None = None
    old = new = 0
    lines = text.split("\n", _MOST_LINES)[:_MOST_LINES]
    for number, line in enumerate(lines):
        if old <= 0 and new <= 0:
            header = _HUNK.match(line)
            if header is not None:
                seen = True
                old, new = (int(count) if count is not None else 1 for count in header.groups())
        elif _begins_file(lines, number):
            old = new = 0
        elif line[:1] in ("", " ", "\t", "\r"):
            old, new = old - 1, new - 1
        elif line[0] == "-":
            old -= 1
        elif line[0] == "+":
            new -= 1
        elif line[0] != "\\":
            return False
    return seen


def _begins_file(lines: list[str], number: int) -> bool:
    """A new file's header, and not a removed line that begins with two dashes."""
    line = lines[number]
    if line.startswith("--- "):
        return number + 1 < len(lines) and lines[number + 1].startswith("+++ ")
    return line.startswith(("diff --git ", "Index: "))
