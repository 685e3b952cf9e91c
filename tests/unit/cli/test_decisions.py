"""decisions metrics as a user meets it: a file in, a table or JSON out, and an exit code."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tomlkit

from tests.unit.cli.process import run

GOOD = {"work_class": "chat", "tier": "a", "status": 200, "privacy": "local", "input_tokens": 7,
        "output_tokens": 3, "mode": "agentic"}  # fmt: skip


def log(folder: Path, *records: dict[str, object]) -> str:
    path = folder / "window.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in records), encoding="utf-8")
    return str(path)


def test_a_window_without_faults_passes(tmp_path: Path) -> None:
    done = run("decisions", "metrics", log(tmp_path, GOOD, GOOD), "--json")

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["gate_passed"] is True
    assert said["overall"]["cloud_tokens_saved"] == 20
    assert said["modes"] == ["agentic"]


def test_a_breach_ends_with_1_and_names_the_class(tmp_path: Path) -> None:
    wrong = {**GOOD, "ground_truth": "fail"}
    done = run("decisions", "metrics", log(tmp_path, GOOD, wrong))

    assert done.returncode == 1
    assert "chat: at or over the threshold of 1.00%" in done.stdout
    assert "50.00%" in done.stdout
    allowed = run("decisions", "metrics", log(tmp_path, GOOD, wrong), "--threshold", "0.6")
    assert allowed.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["missing.jsonl"], "cannot read missing.jsonl"),
     (["broken.jsonl"], "broken.jsonl: line 2 is no decision"),
     (["good.jsonl", "--threshold", "2"], "it must be from 0 to 1")],
)  # fmt: skip
def test_what_cannot_be_read_or_meant_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jsonl").write_text("{}\n{", encoding="utf-8")
    (tmp_path / "good.jsonl").write_text("{}\n", encoding="utf-8")
    done = run("decisions", "metrics", *arguments)

    assert done.returncode == 2
    assert said in done.stderr


def test_without_a_file_the_live_router_is_asked() -> None:
    """At the port of this definition: whoever runs the tests may have a stack of their own."""
    assert run("init", "--site", "cpu").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert run("config", "set", "machine.router_admin_port", str(port)).returncode == 0
    done = run("decisions", "metrics")

    assert done.returncode == 2
    assert "the router does not answer" in done.stderr


class _Router(BaseHTTPRequestHandler):
    """What a live router says to clients and to its administrator."""

    def do_GET(self) -> None:
        first, second = ({**GOOD, "decision_id": each, "outcome": "served"} for each in "12")
        body = f"{json.dumps(first)}\n{json.dumps(second)}\n".encode()
        if self.path == "/v1/decisions?limit=2":
            body = json.dumps({"data": [second, first]}).encode()
        elif self.path != "/admin/decisions":
            body = b'{"error": {"message": "wrong path"}}'
        self.send_response(200 if b"error" not in body else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_said: object) -> None:
        """Keep quiet."""


@pytest.fixture
def router() -> Iterator[None]:
    """A site whose router answers on both of its ports."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Router)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    assert run("init", "--site", "cpu").returncode == 0
    path = Path(os.environ["ANVIL_HOME"]) / "anvil.toml"
    definition = tomlkit.parse(path.read_text(encoding="utf-8"))
    definition["machine"]["router_port"] = server.server_port
    definition["machine"]["router_admin_port"] = server.server_port
    path.write_text(tomlkit.dumps(definition), encoding="utf-8")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("router")
def test_the_last_decisions_are_lines_the_newest_last() -> None:
    done = run("decisions", "ls", "--limit", "2")

    assert done.returncode == 0, done.stderr
    assert [line.split(" id=")[1] for line in done.stdout.splitlines()] == [
        "1 ms=- mode=agentic",
        "2 ms=- mode=agentic",
    ]
    assert "served=a verify=pass" in done.stdout
    told = json.loads(run("decisions", "ls", "--limit", "2", "--json").stdout)
    assert [each["decision_id"] for each in told] == ["1", "2"]


@pytest.mark.usefixtures("router")
def test_the_live_routers_log_is_added_up() -> None:
    done = run("decisions", "metrics", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["overall"]["accepted_local"] == 2
