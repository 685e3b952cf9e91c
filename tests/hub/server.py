"""The hub's HTTP: its API, `resolve` with redirects to a content host of its own, and ranges."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.hub import xet
from tests.hub.faults import Fault, Way
from tests.hub.handler import Handler, Sent
from tests.hub.repository import Entry, Repository


@dataclass
class Hub:
    """Repositories behind three ports: the hub's, the host that its redirects lead to, and Xet's."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: frozenset[str] = frozenset()
    faults: list[Fault] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    # The content answers that are on their way: each is in `sent` once it has ended.
    sending: set[object] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    content_url: str = ""
    cas_url: str = ""
    # Of the CAS's API: clients ask for the later one first.
    cas_versions: frozenset[str] = frozenset({"v1", "v2"})
    # Tokens for Xet that have run out when they are given; later ones are good.
    old_tokens: int = 0
    # The files whose make-up was told, one for each answer.
    reconstructions: list[str] = field(default_factory=list)
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
        with (
            hub._server(_Api, host, tls) as api,
            hub._server(_Content, host, tls) as content,
            hub._server(xet.Cas, host, tls) as cas,
        ):
            hub.url = f"{scheme}://{host}:{api.server_port}"
            hub.content_url = f"{scheme}://{host}:{content.server_port}"
            hub.cas_url = f"{scheme}://{host}:{cas.server_port}"
            yield hub
            hub.stopping.set()

    @contextlib.contextmanager
    def _server(
        self, handler: type[Handler], host: str, tls: ssl.SSLContext | None
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

    def moved(self, path: str | None = None, way: Way | None = None) -> int:
        """Bytes of content that went out, of one file or in all, one way or any."""
        return sum(
            each.sent for each in self.sent if path in {None, each.path} and way in {None, each.way}
        )

    def of_content(self, sha256: str) -> Entry | None:
        return next((each for each in self._large() if each.sha256 == sha256), None)

    def of_xet(self, name: str) -> xet.Stored | None:
        found = (xet.stored(each) for each in self._large())
        return next((each for each in found if each.name == name), None)

    def of_xorb(self, name: str) -> tuple[Entry, xet.Xorb] | None:
        for each in self._large():
            found = xet.stored(each).xorbs.get(name)
            if found:
                return each, found
        return None

    def _large(self) -> Iterator[Entry]:
        for repository in self.repositories.values():
            yield from (each for each in repository.entries.values() if each.large)

    def fault(
        self, path: str, start: int, end: int, kinds: Iterable[str], way: Way = "plain"
    ) -> Fault | None:
        for each in self.faults:
            if each.kind in kinds and each.applies(path, start, end, way):
                return each
        return None


class _Content(Handler):
    """The host that redirects lead to, where signed URLs and no tokens are known."""

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        if "Authorization" in self.headers:
            return self.reply(400, b"only one way to authenticate is allowed")
        entry = self.hub.of_content(urlsplit(self.path).path.strip("/"))
        if entry is None:
            return self.reply(404)
        return self.content(entry, {"ETag": f'"{entry.sha256}"'})


class _Api(Handler):
    _MODEL = re.compile(
        r"/api/models/([^/]+/[^/]+)"
        r"(?:/(revision|tree|auth-check|xet-read-token)(?:/([^/]+))?)?/?"
    )
    _FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
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
            return self.json(listed)
        if model[2] == "auth-check":
            return None if self._denied(repository) else self.json({})
        if model[2] == "xet-read-token":
            return self._xet_token(repository)
        return self.json(_described(repository))

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
        if repository.xet:
            route = f"{self.hub.url}/api/models/{repository.name}/xet-read-token/{revision}"
            linked |= {"X-Xet-Hash": xet.stored(entry).name, "Link": f'<{route}>; rel="xet-auth"'}
        return self.reply(302, headers=headers | linked | {"Location": where})

    def _xet_token(self, repository: Repository) -> None:
        if self._denied(repository) or self.refused(repository.name, "token"):
            return
        old, self.hub.old_tokens = self.hub.old_tokens > 0, self.hub.old_tokens - 1
        token, expires = ("xet_old", 1) if old else (xet.TOKEN, int(time.time()) + 3600)
        known = {"accessToken": token, "exp": expires, "casUrl": self.hub.cas_url}
        headers = {
            "X-Xet-Access-Token": token,
            "X-Xet-Token-Expiration": str(expires),
            "X-Xet-Cas-Url": self.hub.cas_url,
        }
        self.json(known, headers)

    def _denied(self, repository: Repository) -> bool:
        """Gated repositories are for accounts that have accepted their terms."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not repository.gated or given in self.hub.tokens:
            return False
        self.reply(403 if given else 401, headers={"X-Error-Code": "GatedRepo"})
        return True


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
