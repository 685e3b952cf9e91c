"""`python -m tests.lab [PART ...]`: builds a stack, breaks it, and prints the tables.

`faults=WORDS` stands for the faults alone whose names have these words.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.e2e.stack import Stack
from tests.lab import faults, kills, switches
from tests.lab.site import lab

SWITCHES = 20
RECOVER = (("recover",), ("recover", "--undo"))


def _switches(stack: Stack) -> str:
    return switches.back_and_forth(stack, SWITCHES).table()


def _kills(stack: Stack) -> str:
    return "\n".join(str(each) for verb in RECOVER for each in kills.every_line(stack, verb))


def _starts(stack: Stack) -> str:
    return "\n".join(str(each) for verb in RECOVER for each in kills.starts_and_stops(stack, verb))


PARTS: dict[str, Callable[[Stack, str], str]] = {
    "speed": lambda stack, _words: switches.speed(stack),
    "switches": lambda stack, _words: _switches(stack),
    "kills": lambda stack, _words: _kills(stack),
    "starts": lambda stack, _words: _starts(stack),
    "faults": faults.table,
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="anvil-lab-") as folder, lab(Path(folder)) as stack:
        for each in wanted:
            part, _, words = each.partition("=")
            print(f"\n== {each}\n{PARTS[part](stack, words)}", flush=True)


if __name__ == "__main__":
    main()
