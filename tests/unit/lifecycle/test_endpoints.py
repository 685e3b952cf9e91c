from __future__ import annotations

import json
from pathlib import Path

import pytest

from anvil_ctl.doctor.survey import JournalSeen
from anvil_ctl.lifecycle.endpoints import journal
from anvil_ctl.lifecycle.journal import Journal, lock


def transition(folder: Path, source: list[str], target: str, outcome: str | None) -> None:
    made = Journal(folder, source, target)
    made.write()
    if outcome:
        made.finish(outcome)


@pytest.mark.parametrize(
    ("source", "target", "outcome", "recorded"),
    [
        ([], "agentic", "complete", "agentic"),
        (["agentic"], "flexibility", "rolled_back", "agentic"),
        ([], "agentic", "rolled_back", None),
        (["agentic"], "down", "complete", None),
    ],
)
def test_the_last_command_says_which_mode_it_left(
    source: list[str], target: str, outcome: str, recorded: str | None, tmp_path: Path
) -> None:
    transition(tmp_path, source, target, outcome)

    assert journal(tmp_path).recorded == recorded


def test_a_failure_leaves_what_was_recorded_before(tmp_path: Path) -> None:
    transition(tmp_path, [], "agentic", "complete")
    transition(tmp_path, ["agentic"], "flexibility", "failed")

    assert journal(tmp_path).recorded == "agentic"


def test_a_command_that_was_cut_off_is_said(tmp_path: Path) -> None:
    transition(tmp_path, ["agentic"], "flexibility", None)

    assert journal(tmp_path).interrupted == "agentic -> flexibility"


def test_a_journal_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "switch.json").write_text("{", encoding="utf-8")
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "00001-x-agentic.json").write_text(json.dumps([]), encoding="utf-8")

    assert "cannot be read" in (journal(tmp_path).interrupted or "")


def test_who_holds_the_lock_is_named_while_it_is_held(tmp_path: Path) -> None:
    with lock(tmp_path, "switch"):
        assert "anvil-ctl switch (process " in (journal(tmp_path).lock_holder or "")

    assert journal(tmp_path) == JournalSeen()
