"""`init` where Docker answers: the volume is created only with consent. No container is left."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.stack import ANVIL_CTL, Stack, docker, exists, new_stack


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Nothing but names that are its own."""
    found = new_stack(tmp_path_factory.mktemp("init"))
    yield found
    if exists("volume", found.volume):
        docker("volume", "rm", found.volume)


def test_without_a_terminal_the_volume_is_left_out_and_the_command_named(fresh: Stack) -> None:
    done = fresh.run("init", "--site", "cpu", *fresh.names)

    assert f"left out: the volume {fresh.volume}" in done.stderr
    assert f"or: docker volume create {fresh.volume}" in done.stderr
    assert not exists("volume", fresh.volume)


def test_with_yes_it_says_so_and_creates_it_once(fresh: Stack) -> None:
    first, second = (fresh.run("init", "--site", "cpu", *fresh.names, "--yes") for _ in range(2))

    assert f"there is no volume {fresh.volume}" in first.stdout
    assert f"created the volume {fresh.volume}" in first.stdout
    assert second.stdout.count("left as it is") == 3
    assert exists("volume", fresh.volume)


@pytest.mark.parametrize(("typed", "created"), [(b"y\n", True), (b"\n", False), (b"\x04", False)])
def test_on_a_terminal_it_asks_and_only_a_yes_is_one(
    fresh: Stack, typed: bytes, created: bool
) -> None:
    """Enter alone is no, and so is the end of the input."""
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    done = subprocess.run(
        [ANVIL_CTL, "init", "--site", "cpu", *fresh.names],
        env=fresh.environ(),
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    os.close(ours)
    os.close(theirs)

    assert f"create the volume {fresh.volume}? [y/N]" in done.stderr
    assert exists("volume", fresh.volume) is created


def test_it_ends_with_what_doctor_says(fresh: Stack) -> None:
    done = fresh.run("init", "--site", "cpu", *fresh.names, "--yes")

    assert "doctor: " in done.stdout
    assert "next: anvil-ctl pull starter" in done.stderr
