"""anvil-ctl, but dead by SIGKILL right after its journal was written for the N-th time.

`python -m tests.lab.victim N VERB ...`; `clock` in the place of N has the clock jump back a day
between two of its looks instead.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from anvil_ctl import history
from anvil_ctl.cli.main import main

_DAY_S = 86_400


def _die_after(number: int) -> None:
    written, write = [0], history.write_atomically

    def counted(path: Path, text: str, mode: int = 0o644) -> None:
        write(path, text, mode)
        written[0] += path.name == "switch.json"
        if written[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    # Before the journal's module takes the name over.
    history.write_atomically = counted


def _jump() -> None:
    real, looks = time.time, [0]

    def jumped() -> float:
        looks[0] += 1
        return real() - (_DAY_S if looks[0] > 1 else 0)

    time.time = jumped


if __name__ == "__main__":
    told = sys.argv.pop(1)
    if told == "clock":
        _jump()
    else:
        _die_after(int(told))
    main()
