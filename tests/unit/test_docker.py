from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from anvil_ctl.compose import Compose
from anvil_ctl.docker import Docker
from anvil_ctl.docker_errors import DockerError, failure
from anvil_ctl.versions import parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.39.1", (2, 39, 1)),
        ("v2.20.3-desktop.1", (2, 20, 3)),
        ("Docker Compose version v5.6.1", (5, 6, 1)),
        ("unknown", ()),
    ],
)
def test_versions_are_read_however_they_are_written(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("plugin", [True, False])
@pytest.mark.parametrize("hidden", [(), ("A_KEY", "B_KEY")])
def test_what_the_env_files_say_holds_whatever_the_shell_has(
    plugin: bool, hidden: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Compose that prints what it is called with, and a variable as it finds it."""
    for name in ("docker", "docker-compose"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} A_KEY=$A_KEY $*" >&2\nexit 1\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("anvil_ctl.compose.standalone_compose", lambda: tmp_path / "docker-compose")
    monkeypatch.setenv("A_KEY", "of-the-shell")
    files = [tmp_path / "control.yaml", tmp_path / "keys.yaml", tmp_path / "absent.yaml"]
    for each in files[:2]:
        each.touch()

    with pytest.raises(DockerError) as raised:
        Compose((2, 39, 1), plugin).project("p", files, (), hidden).check()

    called = "docker A_KEY={} compose" if plugin else "docker-compose A_KEY={}"
    value = "" if hidden else "of-the-shell"
    assert f"{called.format(value)} --file {files[0]} --file {files[1]} " in raised.value.message
    assert f"--project-directory {tmp_path}" in raised.value.message


def test_an_engine_elsewhere_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://gpu-box")

    with pytest.raises(DockerError, match="DOCKER_HOST is ssh://gpu-box") as raised:
        Docker().socket()

    assert "DOCKER_HOST unset" in raised.value.hint


def test_a_context_that_leads_elsewhere_is_refused_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    far = ["docker", "context", "create", "far", "--docker", "host=tcp://192.0.2.1:2376"]
    subprocess.run(far, check=True, capture_output=True)
    subprocess.run(["docker", "context", "use", "far"], check=True, capture_output=True)

    with pytest.raises(
        DockerError, match=r"the docker context leads to tcp://192\.0\.2\.1"
    ) as raised:
        Docker().socket()

    assert "docker context use default" in raised.value.hint


@pytest.mark.parametrize(
    ("said", "next_command"),
    [
        ("Cannot connect to the Docker daemon at unix:///x. Is it running?", "systemctl start"),
        ("Got permission denied while trying to connect", "usermod -aG docker"),
        ("write /x: no space left on device", "images prune"),
        ("something else", "anvil-ctl doctor"),
        ("", "anvil-ctl doctor"),
    ],
)
def test_what_docker_says_comes_with_what_to_type(said: str, next_command: str) -> None:
    error = failure(said)

    assert next_command in error.hint
    assert error.message
