"""One file of a repository: from where it stopped to its end, its content proved, then named."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import HfFileMetadata
from huggingface_hub.utils._runtime import is_xet_available

from anvil_ctl.transfer import stream
from anvil_ctl.transfer.explain import Passing
from anvil_ctl.transfer.hub import Hub
from anvil_ctl.transfer.layout import RepoFolder
from anvil_ctl.transfer.meter import Meter
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.wire import Send, note
from anvil_ctl.transfer.xet import Broken
from anvil_ctl.weights.listing import File

# In a row without a byte more; each that brings some begins the count anew.
ATTEMPTS = 6
# A file that arrives whole and wrong this often is not going to be right.
_DAMAGED = 3
# In a row without a byte more by Xet, after which all files come by plain HTTP.
_XET_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Brings files of one commit. `stop` is set to end all of them where they are."""

    hub: Hub
    folder: RepoFolder
    commit: str
    meter: Meter
    send: Send
    stop: threading.Event
    pause_s: float = 1.0
    # Set once Xet has failed for good: a network that does not let it through will not for others.
    plain: threading.Event = field(default_factory=threading.Event)

    def bring(self, file: File) -> str:
        """See that the file's blob is there and return its sha256; Problem where it cannot be."""
        failures, damaged, reached = 0, 0, self._have(file)
        while True:
            try:
                # What Xet has brought damaged once, it may have stored so.
                found = self._attempt(file, xet=_xet_is_on() and not damaged)
            except Passing as error:
                failures = 1 if self._have(file) > reached else failures + 1
                reached = max(reached, self._have(file))
                if self._without_xet(file, error, failures):
                    failures = 0
                else:
                    self._wait(file, str(error), failures)
                continue
            except OSError as error:
                raise _of_disk(error, file) from error
            if found is not None:
                return found
            damaged += 1
            reached = 0
            self.send(note(f"{file.path} arrived damaged: it is fetched again"))
            if damaged == _DAMAGED:
                text = f"{file.path} arrived {damaged} times with another checksum than the hub's"
                raise Problem(Kind.DAMAGED, text)

    def _without_xet(self, file: File, error: Passing, failures: int) -> bool:
        """Whether Xet has failed for the last time: what is missing comes by plain HTTP."""
        if not isinstance(error, Broken) or not (error.final or failures >= _XET_ATTEMPTS):
            return False
        if not self.plain.is_set():
            self.plain.set()
            self.send(note(f"{file.path}: {error}; from here on by plain HTTP instead of Xet"))
        return True

    def _attempt(self, file: File, *, xet: bool) -> str | None:
        """One try; None where all bytes came and they are not the right ones."""
        where = self.hub.metadata(self.folder.repo, self.commit, file.path)
        part = self.folder.part(file.etag)
        if file.size == 0:
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(b"")
            found = stream.sha256(part)
        else:
            xet = xet and where.xet_file_data is not None and not self.plain.is_set()
            found = self._move(file, where, part, xet=xet)
        if file.sha256 not in {None, found} or (
            file.sha256 is None and stream.blob_id(part) != file.etag
        ):
            self.meter.at(file.path, 0, file.size)
            part.unlink()
            return None
        part.chmod(0o644)
        part.replace(self.folder.blob(file.etag))
        self.meter.finished(file.path)
        return found

    def _move(self, file: File, where: HfFileMetadata, part: Path, *, xet: bool) -> str:
        """Bring what the part lacks, by Xet or by plain HTTP: either goes on with the other's."""
        if self._have(file) > file.size:
            part.unlink()
        self.meter.at(file.path, self._have(file), file.size)
        with stream.Growing(part, self._count(file)) as growing:
            if growing.size < file.size:
                by = self.hub.xet if xet else self.hub.http
                by(self.folder.repo, where, growing, file.size)
            return growing.sha256()

    def _count(self, file: File) -> Callable[[int], None]:
        """Count, and end the transfer that counts once it is to stop: what came is in the part."""
        count = self.meter.counting(file.path)

        def counted(change: int) -> None:
            count(change)
            if self.stop.is_set():
                raise Problem(Kind.STOPPED, f"stopped in the middle of {file.path}")

        return counted

    def _have(self, file: File) -> int:
        part = self.folder.part(file.etag)
        return part.stat().st_size if part.exists() else 0

    def _wait(self, file: File, why: str, failures: int) -> None:
        where = f"{file.path} at {self._have(file)} of {file.size} bytes"
        if self.stop.is_set():
            raise Problem(Kind.STOPPED, where)
        if failures >= ATTEMPTS:
            text = f"{where}: {why}; {ATTEMPTS} attempts in a row brought nothing"
            raise Problem(Kind.NETWORK, text)
        pause = self.pause_s * 2 ** (failures - 1)
        self.send(note(f"{where}: {why}; again in {pause:.0f} s ({failures} of {ATTEMPTS})"))
        if self.stop.wait(pause):
            raise Problem(Kind.STOPPED, where)


def _of_disk(error: OSError, file: File) -> Problem:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Problem(Kind.SPACE, f"the disk was full in the middle of {file.path}")
    return Problem(Kind.OTHER, f"{file.path} could not be written: {error}")


def _xet_is_on() -> bool:
    return bool(is_xet_available()) and not constants.HF_HUB_DISABLE_XET
