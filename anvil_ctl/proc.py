"""The one place that starts a process directly; Docker goes through docker.py instead."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from anvil_ctl.errors import AnvilError


class ProcessError(AnvilError):
    """A command ended with a non-zero status; `output` is what it printed."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
        super().__init__(f"{Path(argv[0]).name} failed with status {status}: {last.strip()}")
        self.argv = tuple(argv)
        self.status = status
        self.output = output


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 600,
) -> str:
    """Run `argv` to its end and return stdout and stderr together; ProcessError otherwise."""
    try:
        done = subprocess.run(
            list(argv),
            env=dict(env) if env is not None else None,
            cwd=cwd,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise ProcessError(argv, 127, f"{argv[0]}: not found") from error
    except subprocess.TimeoutExpired as error:
        raise ProcessError(argv, 124, f"no end after {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise ProcessError(argv, done.returncode, done.stdout)
    return done.stdout
