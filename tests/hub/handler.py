"""What the hub's hosts share: answers, ranges, and content in which something goes wrong."""

from __future__ import annotations

import contextlib
import json
import re
import time
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tests.hub.faults import Way
from tests.hub.repository import Entry

if TYPE_CHECKING:
    from tests.hub.server import Hub

_CHUNK = 1 << 18
_ON_THE_WAY = ("stall", "cut", "flip", "slow")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Sent:
    """A content answer: the file, where in it the answer began, and the bytes of it that went out."""

    path: str
    start: int
    sent: int
    way: Way = "plain"


@dataclass(frozen=True)
class Piece:
    """Some of a file's bytes from `at` on, and what the protocol puts before them."""

    at: int
    data: bytes
    lead: bytes = b""


class Handler(BaseHTTPRequestHandler):
    """What both hosts share; each of them has a `do_GET` of its own."""

    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        self.hub.asked.append(format % args)

    def do_HEAD(self) -> None:
        self.do_GET()

    @abstractmethod
    def do_GET(self) -> None: ...

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def content(self, entry: Entry, headers: dict[str, str]) -> None:
        """A file or the range of it that is asked for, with what is to go wrong."""
        start, end, status = 0, entry.size, 200
        asked = asked_range(self.headers, entry.size)
        if asked:
            (start, end), status = asked, 206
            if start >= entry.size:
                return self.reply(416, headers={"Content-Range": f"bytes */{entry.size}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
        headers |= {"Content-Length": str(end - start), "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            return self.reply(status, headers=headers)
        if self.refused(entry.path, "plain", start, end):
            return None
        self.reply(status, headers=headers)
        if isinstance(entry.source, Path) and not self.hub.faults:
            return self._at_full_speed(entry.path, entry.source, start, end)
        pieces = (
            Piece(at, entry.read(at, min(at + _CHUNK, end))) for at in range(start, end, _CHUNK)
        )
        return self.pour(entry.path, pieces, "plain")

    def refused(self, path: str, way: Way, start: int = 0, end: int = 1) -> bool:
        """Whether a fault has made the answer, or has let the other side wait for none."""
        fault = self.hub.fault(path, start, end, ["refuse"], way)
        if fault is None and way in {"token", "cas"}:
            fault = self.hub.fault(path, start, end, ["stall"], way)
        if fault is None:
            return False
        fault.strike()
        if fault.kind == "stall":
            self._end("stall")
        else:
            self.reply(fault.status)
        return True

    def json(self, value: object, headers: dict[str, str] | None = None) -> None:
        named = {"Content-Type": "application/json", **(headers or {})}
        self.reply(200, json.dumps(value).encode(), named)

    def pour(self, path: str, pieces: Iterable[Piece], way: Way) -> None:
        """Send what a file consists of, with what is to go wrong; then it is in the hub's `sent`."""
        self.hub.sending.add(self)
        start, sent, rate = None, 0, 0
        try:
            for piece in pieces:
                start = piece.at if start is None else start
                data = piece.data
                fault = self.hub.fault(path, piece.at, piece.at + len(data), _ON_THE_WAY, way)
                if fault is not None:
                    fault.strike()
                    cut = fault.at - piece.at
                    if fault.kind == "flip":
                        data = data[:cut] + bytes([data[cut] ^ 1]) + data[cut + 1 :]
                    elif fault.kind == "slow":
                        rate = fault.rate
                    else:
                        self.wfile.write(piece.lead + data[:cut])
                        sent += cut
                        self._end(fault.kind)
                        return
                self.wfile.write(piece.lead + data if piece.lead else data)
                sent += len(data)
                if rate:
                    self.hub.stopping.wait(len(data) / rate)
        except OSError:
            self.close_connection = True
        finally:
            self.hub.sent.append(Sent(path, start or 0, sent, way))
            self.hub.sending.discard(self)

    def _at_full_speed(self, path: str, source: Path, start: int, end: int) -> None:
        """As fast as this machine can, for measurements."""
        self.hub.sending.add(self)
        try:
            with source.open("rb") as file:
                sent = self.connection.sendfile(file, start, end - start)
            self.hub.sent.append(Sent(path, start, sent))
        finally:
            self.hub.sending.discard(self)

    def _end(self, kind: str) -> None:
        self.wfile.flush()
        self.close_connection = True
        if kind == "stall":
            # Until the other side has enough of it, or the test is over.
            self.connection.settimeout(0.05)
            until = time.monotonic() + 60
            while time.monotonic() < until and not self.hub.stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    if not self.connection.recv(1):
                        return


def asked_range(headers: Message, size: int) -> tuple[int, int] | None:
    """Where the bytes that are asked for begin and end, None where all are."""
    asked = _RANGE.fullmatch(headers.get("Range", ""))
    return (int(asked[1]), int(asked[2] or size - 1) + 1) if asked else None
