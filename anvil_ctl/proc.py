"""The one place that starts a process directly; Docker goes through docker.py instead."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


# How long a program may take to end once nobody waits for it any more.
_GRACE_S = 10.0


@contextmanager
def conversing(
    argv: Sequence[str], request: str, env: Mapping[str, str] | None = None
) -> Iterator[Iterator[str]]:
    """Run `argv`, give it one line, and read its lines as they come, both streams together.

    Its input stays open as long as the block runs: a program that watches it knows that we are
    there. It has a session of its own, so a Ctrl-C in the terminal reaches us alone, and the end of
    the block, however it comes about, is what it is told.
    """
    with subprocess.Popen(
        list(argv),
        env=dict(env) if env is not None else None,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as running:
        try:
            _give(running, request)
            yield iter(running.stdout or ())
        finally:
            with contextlib.suppress(OSError):
                if running.stdin:
                    running.stdin.close()
            running.stdin = None
            try:
                running.communicate(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                running.kill()


def _give(running: subprocess.Popen[str], request: str) -> None:
    # One that has ended already says why on its output.
    with contextlib.suppress(BrokenPipeError):
        if running.stdin:
            running.stdin.write(request + "\n")
            running.stdin.flush()
