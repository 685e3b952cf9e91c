"""The shape of the code, where no other tool checks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "anvil_ctl").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_there_is_no_abstract_class_and_no_keyword_pass_through() -> None:
    for path in SOURCES:
        assert not re.search(r"\bABC\b|\*\*kwargs", path.read_text(encoding="utf-8")), path


def test_engines_are_data() -> None:
    assert list((ROOT / "engines").rglob("*.py")) == []


def test_only_the_console_prints() -> None:
    """Servers log, and two programs that run before anything is installed write to streams."""
    allowed = {"cli/console.py", "doctor/host.py"}
    writers = {
        str(path.relative_to(ROOT / "anvil_ctl"))
        for path in SOURCES
        if re.search(r"\bprint\(|sys\.std(out|err)\.write", path.read_text(encoding="utf-8"))
    }
    writers = {each for each in writers if not each.startswith(("router", "multiplexer"))}

    assert writers <= allowed


def test_what_goes_into_containers_has_unix_line_ends() -> None:
    """C17: a shell does not find the interpreter of a script with CRLF."""
    folders = ("compose", "engines", "scripts", "templates", "volumes")
    files = [path for each in folders for path in (ROOT / each).rglob("*") if path.is_file()]

    assert files
    assert [path for path in files if b"\r\n" in path.read_bytes()] == []
