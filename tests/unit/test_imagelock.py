from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl import imagelock
from anvil_ctl.errors import ConfigError
from anvil_ctl.imagelock import Lock, digest_of, pinned

FIRST, SECOND = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    lock = Lock({"vllm/vllm-openai:v1": FIRST, "ghcr.io/x/y:z": SECOND})

    lock.write(tmp_path / "images.lock")

    assert imagelock.read(tmp_path / "images.lock") == lock
    assert "images lock" in (tmp_path / "images.lock").read_text(encoding="utf-8")


def test_an_empty_lock_is_written_and_read_too(tmp_path: Path) -> None:
    Lock().write(tmp_path / "images.lock")

    assert imagelock.read(tmp_path / "images.lock") == Lock()


def test_where_there_is_no_file_nothing_is_locked(tmp_path: Path) -> None:
    assert imagelock.read(tmp_path / "images.lock") == Lock()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = 2", "version: Input should be less than or equal to 1"),
        ("version = 1\n[[images]]\nreference = 'x:1'\ndigest = 'sha256:12'", "images.0.digest"),
        ("version = 1\nimages = [", "images.lock: "),
    ],
)
def test_a_damaged_lock_is_named_and_never_taken_for_none(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "images.lock"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as raised:
        imagelock.read(path)

    assert said in raised.value.message
    assert raised.value.hint == f"rm {path}; anvil-ctl images lock"


def test_locking_again_keeps_what_was_not_asked_for_and_drops_what_no_engine_knows() -> None:
    before = Lock({"a:1": FIRST, "b:1": FIRST, "gone:1": FIRST})

    assert before.relocked({"a:1": SECOND}, ["a:1", "b:1"]) == Lock({"a:1": SECOND, "b:1": FIRST})


def test_a_reference_keeps_its_tag_beside_the_digest_and_gets_one_digest_only() -> None:
    assert pinned("x/y:1", FIRST) == f"x/y:1@{FIRST}"
    assert pinned("x/y:1", None) == "x/y:1"
    assert pinned(f"x/y:1@{FIRST}", SECOND) == f"x/y:1@{FIRST}"
    assert digest_of(f"x/y:1@{FIRST}") == FIRST
    assert digest_of("x/y:1") is None
