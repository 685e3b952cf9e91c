"""What the container is started with, and what is made of what it says."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from anvil_ctl.docker_errors import DockerError
from anvil_ctl.errors import AnvilError, BusyError, GateError, UsageError
from anvil_ctl.events import Event, State
from anvil_ctl.store.box import Box, run_argv
from anvil_ctl.store.failures import explained
from anvil_ctl.store.progress import Progress

# Stands in for the docker command: says what it was given, and ends when its input does.
DOCKER = """#!{python}
import json, os, sys
request = json.loads(sys.stdin.readline())
print("a warning of the engine", flush=True)
if request["verb"] == "crash":
    print("docker: Error response from daemon: no such image", flush=True)
    sys.exit(125)
if request["verb"] == "fail":
    print(json.dumps({{"say": "failed", "kind": "busy", "text": "somebody"}}), flush=True)
else:
    print(json.dumps({{"say": "note", "text": "working"}}), flush=True)
    seen = {{"argv": sys.argv[1:], "token": os.environ.get("HF_TOKEN"), "request": request}}
    print(json.dumps({{"say": "result", "value": seen}}), flush=True)
sys.stdin.read()
open({ended!r}, "w").close()
"""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(DOCKER.format(python=sys.executable, ended=str(tmp_path / "ended")))
    docker.chmod(0o755)
    environ = {
        "PATH": f"{tmp_path / 'bin'}",
        "HF_ENDPOINT": "http://mirror",
        "https_proxy": "http://user:secret@proxy",
        "HF_TOKEN": "hf_of_the_shell",
    }
    return Box("anvil/store:1", "models", "hf_secret", environ)


@pytest.fixture
def said() -> list[Mapping[str, Any]]:
    return []


def test_the_container_may_write_the_volume_and_nothing_else(tmp_path: Path) -> None:
    argv = run_argv(
        "anvil/store:1", "models", "n", variables=["HF_TOKEN"], ca=Path("/ca.pem"), inbox=tmp_path
    )

    assert argv == [
        *("docker", "run", "--rm", "--interactive", "--pull=never", "--name=n"),
        *("--network=host", "--read-only", "--tmpfs=/tmp", "--user=0:0"),
        *("--cap-drop=ALL", "--cap-add=DAC_OVERRIDE", "--cap-add=FOWNER"),
        *("--security-opt=no-new-privileges", "--label=dev.anvil.store=models"),
        "--mount=type=volume,source=models,target=/store",
        f"--mount=type=bind,source={tmp_path},target=/inbox,readonly",
        "--mount=type=bind,source=/ca.pem,target=/etc/anvil-ca.pem,readonly",
        *("--env=HF_TOKEN", "--env=SSL_CERT_FILE=/etc/anvil-ca.pem"),
        *("anvil/store:1", "python3", "-m", "anvil_ctl.transfer"),
    ]


def test_secrets_are_named_in_the_command_and_given_in_the_environment(
    box: Box, said: list[Mapping[str, Any]]
) -> None:
    found = box.ask("list", {"repo": "a/b"}, said.append)

    argv = " ".join(found["argv"])
    assert "--env=HF_TOKEN" in argv
    assert "--env=https_proxy" in argv
    assert "--env=HF_ENDPOINT" in argv
    assert "secret" not in argv
    assert found["token"] == "hf_secret"
    assert found["request"] == {"verb": "list", "repo": "a/b"}
    assert said == [{"say": "note", "text": "working"}]


def test_without_a_token_that_of_the_shell_is_not_shown_either(
    box: Box, said: list[Mapping[str, Any]]
) -> None:
    found = Box(box.image, box.volume, None, box.environ).ask("list", {}, said.append)

    assert found["token"] is None


def test_the_container_hears_that_nobody_waits_any_more(box: Box, tmp_path: Path) -> None:
    """The fake ends by itself once its input has ended, as the real one does."""

    def interrupted(_message: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        box.ask("pull", {"repo": "a/b"}, interrupted)

    assert (tmp_path / "ended").exists()


def test_a_failure_of_the_work_is_an_error_with_what_to_type(box: Box) -> None:
    with pytest.raises(BusyError) as raised:
        box.ask("fail", {"repo": "a/b"}, lambda _said: None)

    assert raised.value.hint == "anvil-ctl pull a/b --wait"


def test_a_failure_of_docker_is_said_in_its_own_words(box: Box) -> None:
    with pytest.raises(DockerError, match="no such image"):
        box.ask("crash", {}, lambda _said: None)


@pytest.mark.parametrize(
    ("kind", "error", "code", "hint"),
    [
        ("gated", GateError, 3, "accept them at http://hub/a/b, then: HF_TOKEN=... anvil-ctl"),
        ("no-repo", UsageError, 2, "check the name"),
        ("no-revision", UsageError, 2, "takes what main is now"),
        ("busy", BusyError, 4, "--wait"),
        ("space", AnvilError, 1, "goes on where it stopped"),
        ("network", AnvilError, 1, "goes on where it stopped"),
        ("damaged", AnvilError, 1, "--verify"),
        ("stopped", AnvilError, 1, "goes on where it stopped"),
        ("other", AnvilError, 1, "anvil-ctl doctor"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_next_step(
    kind: str, error: type[AnvilError], code: int, hint: str
) -> None:
    found = explained(kind, "http://hub/a/b", {"repo": "a/b"}, token=False)

    assert type(found) is error
    assert found.exit_code == code
    assert hint in found.hint


def test_a_token_that_is_not_enough_is_told_apart_from_none() -> None:
    found = explained("gated", "http://hub/a/b", {"repo": "a/b"}, token=True)

    assert "the account of this token has not accepted" in found.message


def line(at: float, done: int) -> dict[str, Any]:
    files = [["model.safetensors", done, 1000]]
    return {
        "say": "progress",
        "what": "move",
        "done": done,
        "total": 1000,
        "files": files,
        "at": at,
    }


def test_progress_has_a_rate_and_an_estimate_of_the_last_seconds() -> None:
    events: list[Event] = []
    progress = Progress("pull", "a/b", events.append)
    for at, done in [(100.0, 0), (110.0, 100), (120.0, 500)]:
        progress(line(at, done))

    assert events[1].text == "pull a/b: 100 B of 1 kB, 10 B/s, 90 s left"
    assert events[2].text == "pull a/b: 500 B of 1 kB, 40 B/s, 12 s left"
    assert (events[2].fraction, events[2].elapsed_s) == (0.5, 20.0)
    assert events[2].parts == (("model.safetensors", 0.5),)


def test_a_note_is_a_line_of_its_own() -> None:
    events: list[Event] = []
    Progress("pull", "a/b", events.append)({"say": "note", "text": "again in 1 s"})

    assert [(each.state, each.text) for each in events] == [(State.WARNING, "again in 1 s")]
