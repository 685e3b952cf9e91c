"""A file that grows while it is hashed: the checksum is there when the last byte is."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

# Called with the bytes that a file has got, or lost where that is negative.
Count = Callable[[int], None]
# One read of what has just been written, which is still in memory.
_BLOCK = 1 << 20


class Growing:
    """A part file that is appended to, and a thread that hashes what is in it already.

    It starts at the part's first byte, so what an earlier attempt left is hashed while the rest
    comes.
    """

    def __init__(self, path: Path, count: Count) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b", buffering=0)
        self._count = count
        self._size = os.fstat(self._file.fileno()).st_size
        self._news = threading.Condition()
        self._ended = False
        self._restarts = 0
        self._digest = ""
        self._thread = threading.Thread(target=self._follow, daemon=True)

    @property
    def size(self) -> int:
        return self._size

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._end()
        self._file.close()

    def sha256(self) -> str:
        """The checksum of all of it; nothing is written after that."""
        self._end()
        return self._digest

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = self._file.write(view)
            view = view[done or 0 :]
        with self._news:
            self._size += len(data)
            self._news.notify()
        self._count(len(data))

    def restart(self) -> None:
        """Throw away what is there: the hub does not go on in the middle."""
        with self._news:
            os.ftruncate(self._file.fileno(), 0)
            gone, self._size = self._size, 0
            self._restarts += 1
        self._count(-gone)

    def _end(self) -> None:
        with self._news:
            self._ended = True
            self._news.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _follow(self) -> None:
        found, at, restarts = hashlib.sha256(), 0, 0
        block = bytearray(_BLOCK)
        while True:
            with self._news:
                while at == self._size and restarts == self._restarts and not self._ended:
                    self._news.wait()
                if restarts != self._restarts:
                    found, at, restarts = hashlib.sha256(), 0, self._restarts
                if at == self._size and self._ended:
                    self._digest = found.hexdigest()
                    return
                wanted = min(_BLOCK, self._size - at)
            view = memoryview(block)[:wanted]
            done = os.preadv(self._file.fileno(), [view], at)
            found.update(view[:done])
            at += done


def sha256(path: Path, count: Count | None = None) -> str:
    """The checksum of a file, a megabyte of memory at a time."""
    found, block = hashlib.sha256(), bytearray(_BLOCK)
    with path.open("rb", buffering=0) as file:
        while done := file.readinto(block):
            found.update(memoryview(block)[:done])
            if count is not None:
                count(done)
    return found.hexdigest()


def blob_id(path: Path) -> str:
    """Git's name of a small file's content, which is what the hub promises for those."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - git's
