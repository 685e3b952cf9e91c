"""One writer for each repository, by a lock that the kernel drops when its holder dies.

The file stays: it is the lock's place and no proof of a holder. Whoever gets the lock has thereby
proved that the one who is named in it is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.wire import Send, note

FOLDER = ".locks"
_LOOK_EVERY_S = 2.0


@contextlib.contextmanager
def held(
    root: Path,
    name: str,
    holder: str,
    send: Send,
    *,
    wait: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold the lock of `name`; Problem names who holds it, or waits for that to end."""
    path = root / FOLDER / f"{name.replace('/', '--')}.pull"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _take(file.fileno(), path, name, send, wait=wait, stopped=stopped)
        former = _read(path)
        if former.get("holder"):
            send(note(f"took over from {former['holder']}, which ended without a word"))
        _write(path, {"holder": holder, "since": time.time(), "name": name})
        try:
            yield
        finally:
            # Empty means that it was given back.
            os.truncate(path, 0)


def _take(
    handle: int, path: Path, name: str, send: Send, *, wait: bool, stopped: Callable[[], bool]
) -> None:
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            said = f"{name} is being pulled by {describe(_read(path))}"
            if not wait:
                raise Problem(Kind.BUSY, said) from error
            if stopped():
                raise Problem(Kind.STOPPED, f"{said}: waiting was given up") from error
            if not told:
                send(note(f"{said}: waiting"))
                told = True
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock whose file this is."""
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def describe(found: dict[str, Any]) -> str:
    """A holder with how long it has held."""
    since = found.get("since")
    age = f", for {max(time.time() - since, 0):.0f} s" if isinstance(since, float) else ""
    return f"{found.get('holder') or 'somebody'}{age}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
