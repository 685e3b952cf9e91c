"""`connect` as a user meets it: real processes and files, no Docker."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.cli.process import run


@pytest.fixture
def home() -> Path:
    assert run("init", "--site", "cpu").returncode == 0
    return Path(os.environ["HOME"])


def test_writing_merges_keeps_a_copy_and_is_done_once(home: Path) -> None:
    path = home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"theme": "dark", "env": {"MINE": "1"}}', encoding="utf-8")

    first, second = (run("connect", "claude-code", "--write") for _ in range(2))

    after = json.loads(path.read_text(encoding="utf-8"))
    assert after["theme"] == "dark"
    assert after["env"]["MINE"] == "1"
    assert after["env"]["ANTHROPIC_MODEL"] == "chat"
    assert "settings.json.bak.1" in first.stdout
    assert "left as it is" in second.stdout
    assert not (path.parent / "settings.json.bak.2").exists()


def test_the_command_that_is_written_prints_the_token(home: Path) -> None:
    run("connect", "claude-code", "--write")
    settings = json.loads((home / ".claude" / "settings.json").read_text(encoding="utf-8"))

    command = shlex.split(settings["apiKeyHelper"])
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (
        done.stdout.strip() == json.loads(run("connect", "env", "--json").stdout)["OPENAI_API_KEY"]
    )


def test_another_file_address_and_model_can_be_named(home: Path) -> None:
    path = home / "elsewhere.json"

    run(
        "connect", "claude-code", "--write", "--file", str(path), "--model", "long-context",
        "--url", "http://box:8000/",
    )  # fmt: skip

    env = json.loads(path.read_text(encoding="utf-8"))["env"]
    assert (env["ANTHROPIC_BASE_URL"], env["ANTHROPIC_MODEL"]) == (
        "http://box:8000",
        "long-context",
    )
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_recipe_for_programs_has_the_address_the_model_and_the_window(home: Path) -> None:
    said = json.loads(run("connect", "aider", "--json").stdout)

    assert said["url"] == "http://127.0.0.1:8000"
    assert (said["model"], said["context_window"]) == ("chat", 2048)
    assert said["settings"]["file"] == "~/.aider.model.metadata.json"


@pytest.fixture
def live(home: Path) -> Iterator[None]:
    """A router that says that it serves the mode agentic."""

    class Admin(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"].startswith("Bearer ")
            body = (
                b'{"mode": "agentic"}' if (self.path, known) == ("/admin/status", True) else b"{}"
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Admin) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        run("config", "set", "machine.router_admin_port", str(server.server_port))
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("live")
def test_the_windows_are_those_of_the_live_mode() -> None:
    said = json.loads(run("connect", "aider", "--json").stdout)

    assert (said["mode"], said["context_window"]) == ("agentic", 8192)
    assert "mode agentic, which is live; in flexibility it is 2048" in said["text"]


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    ("asked", "mode", "window"),
    [("any", None, 2048), ("flexibility", "flexibility", 2048), ("agentic", "agentic", 8192)],
)
def test_other_windows_can_be_asked_for(asked: str, mode: str | None, window: int) -> None:
    said = json.loads(run("connect", "aider", "--mode", asked, "--json").stdout)

    assert (said["mode"], said["context_window"]) == (mode, window)


def test_without_a_client_the_clients_are_listed(home: Path) -> None:
    assert "claude-code  Claude Code" in run("connect").stdout
    assert "codex" in json.loads(run("connect", "--json").stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("openai", "--write"), "openai has no settings file that this program writes"),
        (("codx",), "did you mean 'codex'"),
        (("openai", "--mode", "fast"), "--mode: 'fast' is not a mode; modes: agentic, flexibility"),
        (("openai", "--model", "chap"), "--model: 'chap' is not a preset; did you mean 'chat'"),
    ],
)
def test_what_cannot_be_done_says_why(home: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("connect", *arguments)

    assert done.returncode == 2
    assert said in done.stderr


def test_settings_with_comments_are_not_touched(home: Path) -> None:
    path = home / ".openclaw" / "openclaw.json"
    path.parent.mkdir()
    path.write_text("{ // mine\n}", encoding="utf-8")

    done = run("connect", "openclaw", "--write")

    assert done.returncode == 2
    assert "nothing was written" in done.stderr
    assert path.read_text(encoding="utf-8") == "{ // mine\n}"
    assert list(path.parent.iterdir()) == [path]
