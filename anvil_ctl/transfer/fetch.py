"""One file of a repository: from where it stopped to its end, its content proved, then named."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import HfFileMetadata
from huggingface_hub.utils._runtime import is_xet_available

from anvil_ctl.transfer import stream, xet
from anvil_ctl.transfer.explain import Passing
from anvil_ctl.transfer.hub import Hub
from anvil_ctl.transfer.layout import RepoFolder
from anvil_ctl.transfer.meter import Meter
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.wire import Send, note
from anvil_ctl.weights.listing import File

# In a row without a byte more; each that brings some begins the count anew.
ATTEMPTS = 6
# A file that arrives whole and wrong this often is not going to be right.
_DAMAGED = 3


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
    stall_s: float = 30.0

    def bring(self, file: File) -> str:
        """See that the file's blob is there and return its sha256; Problem where it cannot be."""
        failures, damaged, reached = 0, 0, self._have(file)
        while True:
            try:
                found = self._attempt(file)
            except Passing as error:
                failures = 1 if self._have(file) > reached else failures + 1
                reached = max(reached, self._have(file))
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

    def _attempt(self, file: File) -> str | None:
        """One try; None where all bytes came and they are not the right ones."""
        where = self.hub.metadata(self.folder.repo, self.commit, file.path)
        part = self.folder.part(file.etag)
        if file.size == 0:
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(b"")
            found = stream.sha256(part)
        elif where.xet_file_data is not None and not self._have(file) and _xet_is_on():
            found = self._by_xet(file, where, part)
        else:
            found = self._by_http(file, where, part)
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

    def _by_http(self, file: File, where: HfFileMetadata, part: Path) -> str:
        if self._have(file) > file.size:
            part.unlink()
        self.meter.at(file.path, self._have(file), file.size)
        with stream.Growing(part, self._count(file)) as growing:
            if growing.size < file.size:
                self.hub.http(self.folder.repo, where, growing, file.size)
            return growing.sha256()

    def _by_xet(self, file: File, where: HfFileMetadata, part: Path) -> str:
        self.meter.at(file.path, 0, file.size)
        count = self._count(file)
        with xet.bar(count, self.stall_s) as bar:
            self.hub.xet(self.folder.repo, where, part, file.size, bar)
        return stream.sha256(part)

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
