"""The daemon's answers about registries, over a real socket."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.images.registry import DaemonRegistry

DIGEST = "sha256:" + "a" * 64


@dataclass
class Daemon:
    """What a daemon would say of every reference, and what it was asked."""

    status: int = 200
    body: dict[str, object] = field(default_factory=lambda: {"Descriptor": {"digest": DIGEST}})
    paths: list[str] = field(default_factory=list)
    login: str = ""
    endpoint: str = ""


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    found = Daemon()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            version = self.path == "/version"
            if not version:
                found.paths.append(self.path.partition("/distribution/")[2])
                found.login = self.headers.get("X-Registry-Auth", "")
            body = {"ApiVersion": "1.41", "MinAPIVersion": "1.12"} if version else found.body
            data = json.dumps(body).encode()
            self.send_response(200 if version else found.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.endpoint = f"tcp://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_tag_is_answered_by_the_digest_of_its_manifest(daemon: Daemon) -> None:
    assert DaemonRegistry(daemon.endpoint).digest("vllm/vllm-openai:v1") == DIGEST
    assert daemon.paths == ["vllm/vllm-openai:v1/json"]


def test_what_docker_login_stored_goes_along(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = base64.b64encode(b"someone:secret").decode()
    stored = {"auths": {"registry.test": {"auth": login}}}
    (tmp_path / "config.json").write_text(json.dumps(stored), encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    DaemonRegistry(daemon.endpoint).digest("registry.test/x:1")

    sent = json.loads(base64.urlsafe_b64decode(daemon.login))
    assert (sent["username"], sent["password"]) == ("someone", "secret")


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [
        (500, 'Get "https://x/v2/": no such host', "try again once this machine reaches"),
        (401, "unauthorized: authentication required", "docker login registry.test"),
        (403, "denied", "docker login registry.test"),
        (404, "manifest unknown", "see which tags registry.test has"),
    ],
)
def test_a_refusal_is_one_line_with_the_registrys_own_word_and_what_to_do(
    daemon: Daemon, status: int, said: str, hint: str
) -> None:
    daemon.status, daemon.body = status, {"message": said}

    with pytest.raises(AnvilError) as raised:
        DaemonRegistry(daemon.endpoint).digest("registry.test/x:1")

    assert raised.value.message == f"no digest for registry.test/x:1: registry.test: {said}"
    assert raised.value.hint.startswith(hint)


def test_a_daemon_that_is_not_there_is_an_error_and_no_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"

    with pytest.raises(AnvilError, match="refused"):
        DaemonRegistry(endpoint).digest("x:1")
