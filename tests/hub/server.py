"""The hub's HTTP: its API, `resolve` with redirects to a content host of its own, and ranges."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from tests.hub.faults import Fault
from tests.hub.repository import Entry, Repository

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Sent:
    """A content answer: the file, where it began, and the bytes that went out."""

    path: str
    start: int
    sent: int


@dataclass
class Hub:
    """Repositories behind two ports: the hub's, and the host that its redirects lead to."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: frozenset[str] = frozenset()
    faults: list[Fault] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    # The content answers that are on their way: each is in `sent` once it has ended.
    sending: set[object] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    content_url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    @contextlib.contextmanager
    def serving(
        cls,
        repositories: Iterable[Repository],
        tokens: Iterable[str] = (),
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> Iterator[Hub]:
        hub = cls({each.name: each for each in repositories}, frozenset(tokens))
        scheme = "https" if tls else "http"
        with hub._server(_Api, host, tls) as api, hub._server(_Content, host, tls) as content:
            hub.url = f"{scheme}://{host}:{api.server_port}"
            hub.content_url = f"{scheme}://{host}:{content.server_port}"
            yield hub
            hub.stopping.set()

    @contextlib.contextmanager
    def _server(
        self, handler: type[_Handler], host: str, tls: ssl.SSLContext | None
    ) -> Iterator[ThreadingHTTPServer]:
        bound = type(handler.__name__, (handler,), {"hub": self})
        server = ThreadingHTTPServer((host, 0), bound)
        if tls:
            # The handshake is the connection's own, so that one who makes none holds up nobody.
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            self.stopping.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def moved(self, path: str | None = None) -> int:
        """Bytes of content that went out, of one file or in all."""
        return sum(each.sent for each in self.sent if path in {None, each.path})

    def of_content(self, sha256: str) -> Entry | None:
        for repository in self.repositories.values():
            for each in repository.entries.values():
                if each.large and each.sha256 == sha256:
                    return each
        return None

    def fault(self, path: str, start: int, end: int, kinds: Iterable[str]) -> Fault | None:
        for each in self.faults:
            if each.kind in kinds and each.applies(path, start, end):
                return each
        return None


class _Handler(BaseHTTPRequestHandler):
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
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked:
            start, end, status = int(asked[1]), int(asked[2] or entry.size - 1) + 1, 206
            if start >= entry.size:
                return self.reply(416, headers={"Content-Range": f"bytes */{entry.size}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
        headers |= {"Content-Length": str(end - start), "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            return self.reply(status, headers=headers)
        refused = self.hub.fault(entry.path, start, end, ["refuse"])
        if refused:
            refused.strike()
            return self.reply(503)
        self.reply(status, headers=headers)
        self.hub.sending.add(self)
        try:
            self._send(entry, start, end)
        finally:
            self.hub.sending.discard(self)
        return None

    def _send(self, entry: Entry, start: int, end: int) -> None:
        sent, rate = 0, 0
        if isinstance(entry.source, Path) and not self.hub.faults:
            # As fast as this machine can, for measurements.
            with entry.source.open("rb") as file:
                sent = self.connection.sendfile(file, start, end - start)
            self.hub.sent.append(Sent(entry.path, start, sent))
            return
        try:
            for piece in _pieces(entry, start, end):
                at = start + sent
                data = piece
                fault = self.hub.fault(
                    entry.path, at, at + len(data), ["stall", "cut", "flip", "slow"]
                )
                if fault is not None:
                    fault.strike()
                    cut = fault.at - at
                    if fault.kind == "flip":
                        data = data[:cut] + bytes([data[cut] ^ 1]) + data[cut + 1 :]
                    elif fault.kind == "slow":
                        rate = fault.rate
                    else:
                        self.wfile.write(data[:cut])
                        sent += cut
                        self._end(fault.kind)
                        return
                self.wfile.write(data)
                sent += len(data)
                if rate:
                    self.hub.stopping.wait(len(data) / rate)
        except OSError:
            self.close_connection = True
        finally:
            self.hub.sent.append(Sent(entry.path, start, sent))

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


def _pieces(entry: Entry, start: int, end: int) -> Iterator[bytes]:
    if isinstance(entry.source, bytes):
        for at in range(start, end, _CHUNK):
            yield entry.source[at : min(at + _CHUNK, end)]
        return
    with Path(entry.source).open("rb") as file:
        file.seek(start)
        while start < end:
            data = file.read(min(_CHUNK, end - start))
            start += len(data)
            yield data


class _Content(_Handler):
    """The host that redirects lead to, where signed URLs and no tokens are known."""

    def do_GET(self) -> None:
        if "Authorization" in self.headers:
            return self.reply(400, b"only one way to authenticate is allowed")
        entry = self.hub.of_content(urlsplit(self.path).path.strip("/"))
        if entry is None:
            return self.reply(404)
        return self.content(entry, {"ETag": f'"{entry.sha256}"'})


class _Api(_Handler):
    _MODEL = re.compile(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree|auth-check)(?:/([^/]+))?)?/?")
    _FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        model, file = self._MODEL.fullmatch(path), self._FILE.fullmatch(path)
        named = (model or file or [None, None])[1]
        repository = self.hub.repositories.get(named or "")
        if repository is None:
            return self.reply(401, headers={"X-Error-Code": "RepoNotFound"})
        if file:
            return self._resolve(repository, file[2], file[3])
        assert model is not None
        if model[3] not in {None, "main", repository.commit}:
            return self.reply(404, headers={"X-Error-Code": "RevisionNotFound"})
        if model[2] == "tree":
            listed = [each.described() for each in repository.entries.values()]
            return self._json(listed)
        if model[2] == "auth-check":
            return None if self._denied(repository) else self._json({})
        return self._json(_described(repository))

    def _resolve(self, repository: Repository, revision: str, path: str) -> None:
        if self._denied(repository):
            return None
        entry = repository.entries.get(path)
        if revision not in {"main", repository.commit} or entry is None:
            return self.reply(404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": repository.commit}
        if not entry.large:
            return self.content(entry, headers | {"ETag": f'"{entry.blob_id}"'})
        where = f"{self.hub.content_url}/{entry.sha256}?signature=1"
        linked = {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
        return self.reply(302, headers=headers | linked | {"Location": where})

    def _denied(self, repository: Repository) -> bool:
        """Gated repositories are for accounts that have accepted their terms."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not repository.gated or given in self.hub.tokens:
            return False
        self.reply(403 if given else 401, headers={"X-Error-Code": "GatedRepo"})
        return True

    def _json(self, value: object) -> None:
        self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _described(repository: Repository) -> dict[str, object]:
    return {
        "_id": "1",
        "id": repository.name,
        "modelId": repository.name,
        "sha": repository.commit,
        "private": False,
        "gated": "manual" if repository.gated else False,
        "tags": [f"license:{repository.license}"],
        "cardData": {"license": repository.license},
        "siblings": [{"rfilename": path} for path in repository.entries],
    }
