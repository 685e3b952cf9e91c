"""Decision records as lines of JSON in a file of bounded size: what was decided, after a restart.

Requests never wait for the disk. Lines are collected and written by a thread once a second; what
comes faster than the disk takes it is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from pathlib import Path

log = logging.getLogger(__name__)

_FLUSH_S = 1.0
_MOST_WAITING = 10_000


class LogFile:
    """One file and the `keep` that came before it: PATH, PATH.1, PATH.2 and so on."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        # Who reads must not find a file twice or not at all because it is renamed meanwhile.
        self._lock = threading.Lock()

    def append(self, data: bytes) -> None:
        """Add whole lines, beginning a new file where the old one is full. Raises OSError."""
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_size + len(data) > self._max_bytes:
                    self._rotate()
            with open(self._path, "ab", opener=_private) as out:
                out.write(data)

    def read(self) -> bytes:
        """All of it, the oldest first. Raises OSError."""
        paths = [*map(self._numbered, range(self._keep, 0, -1)), self._path]
        with self._lock:
            return b"".join(path.read_bytes() for path in paths if path.exists())

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        if self._keep:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class DecisionLog:
    """Collects records on the event loop and has them written. `close` writes what is left."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._lines: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None
        self.dropped = 0
        self._failing = False
        self._closed = False

    def add(self, record: bytes) -> None:
        """Take in a record, one line of JSON. It must hold nothing that a log may not hold."""
        if self._closed or len(self._lines) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._lines.append(record)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def close(self) -> None:
        """Write what waits. What comes later is lost, and counted."""
        self._closed = True
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        await self._write()

    async def read(self) -> bytes:
        """Every record that is kept, what waits among them. Raises OSError."""
        await self._write()
        return await asyncio.to_thread(self._file.read)

    async def _write_soon(self) -> None:
        while self._lines:
            await asyncio.sleep(_FLUSH_S)
            await self._write()
        self._writing = None

    async def _write(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            await asyncio.shield(asyncio.to_thread(self._file.append, b"\n".join([*lines, b""])))
            self._failing = False
        except OSError as error:
            self.dropped += len(lines)
            if not self._failing:  # once, and not a line a second while the disk is full
                log.error("decision log: %s; records are lost", error)  # noqa: TRY400
            self._failing = True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
