"""A paid service for tests: HTTPS with an authority of its own, where a container reaches it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from tests.double import events
from tests.e2e.stack import docker

SAID = "First the schema, then the code."


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that arrived, whoever sent it."""

    path: str
    authorization: str
    body: dict[str, Any]


@dataclass(slots=True)
class Cloud:
    """A service that answers with one text, and keeps what it was asked.

    `authority` is the certificate, as PEM, that its own is signed by.
    """

    url: str
    authority: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(folder: Path, caller: str) -> Iterator[Cloud]:
    """A service on this machine until the end of the block, where the container `caller` sees it."""
    wanted = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
    address = docker("inspect", "--format", wanted, caller).strip()
    authority, path = trustme.CA(), folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(address).configure_cert(context)
    server = ThreadingHTTPServer((address, 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    cloud = Cloud(f"https://{address}:{server.server_port}", path.read_text(encoding="ascii"))
    server.RequestHandlerClass = _handler(cloud)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            key = self.headers.get("authorization", "")
            cloud.asked.append(Asked(self.path, key, body))
            answer = b"".join(events.openai_events({"content": SAID}))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            """Nobody should: a look costs money too."""
            cloud.asked.append(Asked(self.path, "", {}))
            self.send_error(404)

        def log_message(self, *_args: object) -> None:
            """Nothing: tests look at what was asked."""

    return Handler
