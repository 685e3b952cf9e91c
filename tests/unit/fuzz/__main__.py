"""The coverage-guided fuzzer: `python -m tests.unit.fuzz SECONDS [TARGET ...]`, by `make fuzz`.

Each target gets its share of the time twice: with any bytes, and with bytes that hypothesis makes
to look right. What it finds is written to tests/unit/fuzz/corpus/<target>/found-*: mend it, give the
case a telling name, and commit it.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris
from hypothesis import HealthCheck, given, settings

CORPUS = Path(__file__).parent / "corpus"
_SLOW_S = 10


def main() -> int:
    """Run every target asked for, one after the other; 1 if something was found."""
    from tests.unit.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.unit.fuzz", description=__doc__)
    parser.add_argument("seconds", type=int, help="in all, shared out evenly")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all of them")
    asked = parser.parse_args()
    runs = [(name, how) for name in asked.targets or TARGETS for how in ("any", "made")]
    each_s = str(max(1, asked.seconds // len(runs)))
    found = []
    for name, how in runs:
        print(f"{name} ({how} bytes, {each_s} s)", flush=True)
        command = [sys.executable, "-m", "tests.unit.fuzz", "--one", name, how, each_s]
        done = subprocess.run(command, check=False)
        if done.returncode:
            found.append(name)
    print(f"found something: {', '.join(found)}" if found else "nothing was found")
    return 1 if found else 0


def fuzz(name: str, how: str, seconds: str) -> None:
    """One target, in this process, which libFuzzer ends."""
    with atheris.instrument_imports(include=["anvil_ctl"], enable_loader_override=False):
        from tests.unit.fuzz.made import MADE
        from tests.unit.fuzz.targets import TARGETS

    keep = keeping(name, TARGETS[name])

    @settings(suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(MADE[name])
    def made(data: bytes) -> None:
        keep(data)

    with tempfile.TemporaryDirectory() as work:
        seeds = [work, str(CORPUS / name)] if how == "any" else [work]
        options = [
            f"-max_total_time={seconds}", f"-artifact_prefix={work}/", "-max_len=4096",
            f"-timeout={_SLOW_S}", "-verbosity=0", "-print_final_stats=1",
        ]  # fmt: skip
        # A property of hypothesis takes the fuzzer's bytes as its choices.
        one = keep if how == "any" else made.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
        atheris.Setup([name, *options, *seeds], one)
        atheris.Fuzz()


def keeping(name: str, target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The target, which keeps the bytes that break it."""

    def keep(data: bytes) -> None:
        try:
            target(data)
        except Exception:
            case = f"found-{hashlib.sha256(data).hexdigest()[:12]}"
            (CORPUS / name / case).write_bytes(data)
            raise

    return keep


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(*sys.argv[2:5])
    else:
        sys.exit(main())
