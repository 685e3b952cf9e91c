from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.events import Event, State
from anvil_ctl.history import History, write_atomically


def test_a_step_is_estimated_by_its_last_duration(tmp_path: Path) -> None:
    history, events = History(tmp_path / "durations.json"), list[Event]()

    with history.step(events.append, "load", "load a model", default_s=30):
        pass
    with history.step(events.append, "load", "load a model", default_s=30):
        pass

    estimates = [event.estimate_s for event in events if event.state is State.WORKING]
    assert estimates[0] == 30
    assert estimates[1] is not None
    assert estimates[1] < 1


def test_a_failed_step_is_reported_and_not_remembered(tmp_path: Path) -> None:
    history, events = History(tmp_path / "durations.json"), list[Event]()

    with (
        pytest.raises(ValueError, match="no"),
        history.step(events.append, "load", "load a model", default_s=30),
    ):
        raise ValueError("no")

    assert [event.state for event in events] == [State.WORKING, State.FAILED]
    assert history.seconds() == {}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"load": "long"}'])
def test_a_damaged_file_costs_only_the_estimates(tmp_path: Path, text: str) -> None:
    path = tmp_path / "durations.json"
    path.write_text(text, encoding="utf-8")

    assert History(path).seconds() == {}
    History(path).record("load", 1.5)
    assert History(path).seconds() == {"load": 1.5}


def test_a_write_that_fails_leaves_the_old_text_and_no_remains(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")

    assert path.read_text(encoding="utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["file"]


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    write_atomically(tmp_path / ".env", "TOKEN=1", mode=0o600)

    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
