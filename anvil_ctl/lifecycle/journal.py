"""The lock that one mutating command holds, and the record of what it does and did."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from anvil_ctl.errors import BusyError
from anvil_ctl.history import write_atomically


@contextlib.contextmanager
def lock(folder: Path, verb: str) -> Iterator[None]:
    """Hold the lock of an installation. The kernel frees it when this process ends, however.

    Raises BusyError, naming the holder, if another command has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another command"
            raise BusyError(f"{holder} is changing the stack", hint="wait for it to end") from None
        file.truncate(0)
        file.write(f"anvil-ctl {verb} (process {os.getpid()})")
        file.flush()
        yield


@dataclass(slots=True)
class Journal:
    """One transition, written to disk at every act: what was meant, how far it came, how it went.

    Outcomes: running, complete, rolled_back, failed, superseded. A finished journal moves to
    history/.
    """

    folder: Path
    source: list[str]
    target: str
    plan: str = ""
    started: float = field(default_factory=time.time)
    outcome: str = "running"
    acts: list[dict[str, object]] = field(default_factory=list)
    error: str = ""

    @property
    def path(self) -> Path:
        return self.folder / "switch.json"

    def write(self) -> None:
        said = asdict(self) | {"folder": None}
        del said["folder"]
        write_atomically(self.path, json.dumps(said, indent=1) + "\n")

    @contextlib.contextmanager
    def act(self, op: str, target: str) -> Iterator[None]:
        """Record that an act began and how long it took."""
        entry: dict[str, object] = {"op": op, "target": target, "seconds": None}
        self.acts.append(entry)
        self.write()
        began = time.monotonic()
        yield
        entry["seconds"] = round(time.monotonic() - began, 3)

    def finish(self, outcome: str, error: str = "") -> None:
        """Close the journal; it is kept under history/, numbered, and never written again."""
        self.outcome, self.error = outcome, error
        self.write()
        history = self.folder / "history"
        history.mkdir(exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self.started))
        number = sum(1 for _ in history.glob("*.json")) + 1
        self.path.replace(history / f"{number:05}-{stamp}-{self.target}.json")


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What a command that was cut off meant to do; `target` is a mode or `down`."""

    source: tuple[str, ...]
    target: str

    def __str__(self) -> str:
        return f"{'+'.join(self.source) or 'nothing'} -> {self.target}"


def interrupted(folder: Path) -> Interrupted | None:
    """The transition that was cut off, or None if the last one ended."""
    path = folder / "switch.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Interrupted(tuple(found["source"]), str(found["target"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BusyError(
            f"{path} cannot be read ({error})", hint=f"rm {path}; anvil-ctl status"
        ) from error


def set_aside(folder: Path) -> None:
    """Put the journal of a transition that was cut off among the finished ones."""
    found = interrupted(folder)
    if found is not None:
        Journal(folder, list(found.source), found.target).finish("superseded")
