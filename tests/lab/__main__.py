"""`python -m tests.lab [PART ...]`: builds a stack, breaks it, and prints the tables."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.e2e.stack import Stack
from tests.lab import faults, kills, switches
from tests.lab.site import lab

SWITCHES = 20


def _switches(stack: Stack) -> str:
    return switches.back_and_forth(stack, SWITCHES).table()


def _kills(stack: Stack) -> str:
    forward = kills.every_line(stack)
    back = kills.every_line(stack, ("recover", "--undo"))
    return "\n".join(map(str, [*forward, *back]))


PARTS: dict[str, Callable[[Stack], str]] = {
    "speed": switches.speed,
    "switches": _switches,
    "kills": _kills,
    "faults": faults.table,
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="anvil-lab-") as folder, lab(Path(folder)) as stack:
        for part in wanted:
            print(f"\n== {part}\n{PARTS[part](stack)}", flush=True)


if __name__ == "__main__":
    main()
