"""The user's own programs around a switch."""

from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.lifecycle import hooks

SAID = {"ANVIL_FROM": "agentic", "ANVIL_TO": "flexibility"}


def hook(folder: Path, script: str, mode: int = 0o755) -> Path:
    path = folder / "pre-switch"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(mode)
    return path


def test_only_what_is_there_is_run(tmp_path: Path) -> None:
    assert hooks.there(tmp_path / "absent") == ()
    hook(tmp_path, "true")
    assert hooks.there(tmp_path) == ("pre-switch",)


def test_a_hook_is_told_where_from_and_where_to_and_its_last_word_is_kept(tmp_path: Path) -> None:
    hook(tmp_path, 'echo begun; echo "$ANVIL_FROM to $ANVIL_TO in $PWD"')

    assert hooks.run(tmp_path, "pre-switch", SAID) == f"agentic to flexibility in {tmp_path}"


@pytest.mark.parametrize(
    ("script", "limit_s", "words"),
    [("echo no; exit 3", 60, "status 3: no"), ("sleep 30", 0.2, "no end after 0 s")],
)
def test_one_that_fails_or_does_not_end_is_an_error(
    tmp_path: Path, script: str, limit_s: float, words: str
) -> None:
    path = hook(tmp_path, script)

    with pytest.raises(AnvilError, match=words) as raised:
        hooks.run(tmp_path, "pre-switch", SAID, limit_s)

    assert str(path) in raised.value.hint


def test_one_that_cannot_be_executed_is_refused_before_anything_is_planned(tmp_path: Path) -> None:
    path = hook(tmp_path, "true", mode=0o644)

    with pytest.raises(AnvilError, match="is not executable") as raised:
        hooks.there(tmp_path)

    assert raised.value.hint.startswith(f"chmod +x {path}")
