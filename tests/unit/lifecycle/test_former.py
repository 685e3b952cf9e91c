"""What ran before, kept so that it can come back whatever happens to the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.lifecycle import former as formers
from anvil_ctl.lifecycle.former import Former

LIVE = Former("agentic", "compose", "router", "registry", ("starter",), 60)


def test_what_is_saved_is_found_by_the_next_command_and_forgotten_at_the_end(
    tmp_path: Path,
) -> None:
    formers.save(tmp_path, LIVE)
    assert formers.saved(tmp_path) == LIVE

    formers.forget(tmp_path)

    with pytest.raises(AnvilError, match="what ran before is not known"):
        formers.saved(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_that_nothing_had_been_live_is_known_as_well(tmp_path: Path) -> None:
    formers.save(tmp_path, None)

    assert formers.saved(tmp_path) is None


def test_a_text_is_put_back_on_a_disk_that_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formers.save(tmp_path, LIVE)
    path, spare = tmp_path / "router.toml", tmp_path / "former" / "router.toml"
    path.write_text("the new mode's")

    def full(_path: Path, _text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formers, "write_atomically", full)

    formers._put(path, LIVE.router, spare)

    assert path.read_text() == "router"
    formers._put(path, LIVE.router, spare)  # and again, with nothing to do
    with pytest.raises(OSError, match="No space left"):
        formers._put(tmp_path / "other", "text", spare)
