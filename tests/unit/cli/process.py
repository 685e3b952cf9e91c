"""`anvil-ctl` in a process for each call, without the 0.3 s that each would take to import it.

One process for each test worker has imported everything; it forks for each call. What a call
does to its environment, its working folder and its modules ends with it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

import msgspec

ANVIL_CTL = Path(sys.executable).parent / "anvil-ctl"
_PACKAGES = ("cli", "clients", "config", "doctor", "images", "init", "lifecycle", "weights")


class _Call(msgspec.Struct):
    """What one call is to be run with. `out` and `err` are files for what it writes."""

    argv: list[str]
    env: dict[str, str]
    folder: str
    out: str
    err: str


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `anvil-ctl` with this process's environment and `environ`, and nothing on stdin."""
    return run_in(Path.cwd(), *arguments, **environ)


def run_in(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same in another working folder."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        argv, env = [str(ANVIL_CTL), *arguments], {**os.environ, **environ}
        asked = _Call(argv, env, str(folder), str(out), str(err))
        server.stdin.write(msgspec.json.encode(asked).decode() + "\n")
        server.stdin.flush()
        code = server.stdout.readline()
        assert code, "the process that forks has ended; its stderr is above"
        said, complained = (path.read_text(encoding="utf-8") for path in (out, err))
    return subprocess.CompletedProcess(argv, int(code), said, complained)


@functools.cache
def _server() -> subprocess.Popen[str]:
    """Ends with this process, which holds the other end of its stdin."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _serve() -> None:
    package = importlib.import_module("anvil_ctl")
    for name in _PACKAGES:
        folder = str(Path(package.__path__[0], name))
        for module in pkgutil.walk_packages([folder], f"anvil_ctl.{name}."):
            importlib.import_module(module.name)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _become(msgspec.json.decode(line, type=_Call))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(asked: _Call) -> NoReturn:
    """Be the process that was asked for, to its end."""
    code = 70
    try:
        _redirect(asked.out, asked.err)
        os.environ.clear()
        os.environ.update(asked.env)
        os.chdir(asked.folder)
        sys.argv = asked.argv
        code = _run_main()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _redirect(out: str, err: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT
    for number, fd in enumerate(
        (os.open(os.devnull, os.O_RDONLY), os.open(out, flags), os.open(err, flags))
    ):
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False)
        for number, mode in enumerate("rww")
    )


def _run_main() -> int:
    from anvil_ctl.cli.main import main

    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    return 0


if __name__ == "__main__":
    _serve()
