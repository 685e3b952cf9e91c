"""Versions as other programs print them. The standard library only: set-up reads it too."""

from __future__ import annotations

import re

COMPOSE_MINIMUM = (2, 20)


def parse_version(text: str) -> tuple[int, ...]:
    """`v2.39.1-desktop.1` -> (2, 39, 1); () for a text that holds no version."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
