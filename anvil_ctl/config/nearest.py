"""What to say of a name that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def advice(wrong: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: the nearest one that is, if there is one."""
    near = difflib.get_close_matches(wrong, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""
