"""The lock that one mutating command holds, and the record of what it does and did."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
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

    Outcomes: running, undoing, complete, rolled_back, failed, superseded. A finished journal moves
    to history/. `skipped` are gates that the user would not have asked.
    """

    folder: Path
    source: list[str]
    target: str
    plan: str = ""
    started: float = field(default_factory=time.time)
    outcome: str = "running"
    acts: list[dict[str, object]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def path(self) -> Path:
        return self.folder / _LIVE

    def write(self) -> None:
        said = asdict(self)
        del said["folder"]
        write_atomically(self.path, json.dumps(said, indent=1) + "\n")

    @contextlib.contextmanager
    def act(self, op: str, target: str) -> Iterator[dict[str, object]]:
        """Record that an act began, how long it took, and under `note` what came of it."""
        entry: dict[str, object] = {"op": op, "target": target, "seconds": None}
        self.acts.append(entry)
        self.write()
        began = time.monotonic()
        yield entry
        entry["seconds"] = round(time.monotonic() - began, 3)

    def undoing(self, error: str) -> None:
        """From here on what was begun is taken back: `recover` then does not go forward."""
        self.outcome, self.error = "undoing", error
        # A full disk may be why: what ran before must come back without a word written.
        with contextlib.suppress(OSError):
            self.write()

    def finish(self, outcome: str, error: str = "") -> None:
        """Close the journal; it is kept under history/, numbered, and never written again."""
        self.outcome, self.error = outcome, error
        self.write()
        _keep(self.folder)


_LIVE = "switch.json"
_ENDED = ("complete", "rolled_back", "failed")


def _keep(folder: Path) -> None:
    """Move the journal that is there into history/."""
    path = folder / _LIVE
    path.replace(_numbered(folder, json.loads(path.read_text(encoding="utf-8"))))


def _numbered(folder: Path, found: Mapping[str, object]) -> Path:
    history = folder / "history"
    history.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(float(str(found["started"]))))
    number = sum(1 for _ in history.glob("*.json")) + 1
    return history / f"{number:05}-{stamp}-{found['target']}.json"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What a command that was cut off meant to do; `target` is a mode or `down`.

    `undoing`: it had failed, and was taking back what it had done.
    """

    source: tuple[str, ...]
    target: str
    undoing: bool = False

    def __str__(self) -> str:
        undone = ", while it was undone" if self.undoing else ""
        return f"{'+'.join(self.source) or 'nothing'} -> {self.target}{undone}"


def interrupted(folder: Path) -> Interrupted | None:
    """The transition that was cut off, or None if the last one ended."""
    found = _read(folder)
    if found is None or found["outcome"] in _ENDED:
        return None
    sources = found["source"]
    source = tuple(map(str, sources)) if isinstance(sources, list) else ()
    return Interrupted(source, str(found["target"]), found["outcome"] == "undoing")


def _read(folder: Path) -> dict[str, object] | None:
    path = folder / _LIVE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            "outcome": "running",
            **found,
            "source": list(found["source"]),
            "target": found["target"],
        }
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BusyError(
            f"{path} cannot be read ({error})", hint=f"rm {path}; anvil-ctl status"
        ) from error


def set_aside(folder: Path, *, replaced: bool = False) -> None:
    """Put a journal that is still there among the finished ones: one that was cut off, or whose
    command ended between its last word and its move.

    `replaced`: another one will be written in its place, and until then it stays: at no moment
    is it forgotten that something was begun.
    """
    found = _read(folder)
    if found is None:
        return
    if found["outcome"] not in _ENDED:
        found.setdefault("started", time.time())
        ended = {**found, "outcome": "superseded"}
        if replaced:
            write_atomically(_numbered(folder, ended), json.dumps(ended, indent=1) + "\n")
            return
        write_atomically(folder / _LIVE, json.dumps(ended, indent=1) + "\n")
    _keep(folder)
