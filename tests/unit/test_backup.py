from __future__ import annotations

from pathlib import Path

from anvil_ctl import backup


def test_the_copy_takes_the_first_free_number(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("one", encoding="utf-8")
    (tmp_path / "settings.json.bak.1").write_text("older", encoding="utf-8")

    copy = backup.replace(path, "two")

    assert copy == tmp_path / "settings.json.bak.2"
    assert copy.read_text(encoding="utf-8") == "one"
    assert path.read_text(encoding="utf-8") == "two"
    assert (tmp_path / "settings.json.bak.1").read_text(encoding="utf-8") == "older"


def test_permissions_are_kept_for_the_file_and_its_copy(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("one", encoding="utf-8")
    path.chmod(0o600)

    copy = backup.replace(path, "two", mode=0o644)

    assert copy is not None
    assert [each.stat().st_mode & 0o777 for each in (path, copy)] == [0o600, 0o600]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real" / "settings.json", tmp_path / "settings.json"
    target.parent.mkdir()
    target.write_text("one", encoding="utf-8")
    link.symlink_to(target)

    copy = backup.replace(link, "two")

    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "two"
    assert copy == target.with_name("settings.json.bak.1")


def test_a_new_file_needs_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.json"

    assert backup.replace(path, "one", mode=0o600) is None
    assert path.stat().st_mode & 0o777 == 0o600
