from __future__ import annotations

from pathlib import Path

from anvil_ctl.rendered import beside, diff, write
from tests.unit.definitions import cpu, cpu_text, parse, renderer


def test_a_folder_gets_every_text_and_then_nothing_differs(tmp_path: Path) -> None:
    paths = beside(tmp_path, renderer(cpu()).mode("agentic"))

    write(paths)

    assert sorted(path.name for path in (tmp_path / "anvil-agentic").iterdir()) == [
        "compose.yaml",
        "registry.json",
        "router.toml",
    ]
    assert diff(paths) == ""


def test_an_edit_shows_as_the_lines_that_it_changes(tmp_path: Path) -> None:
    write(beside(tmp_path, renderer(cpu()).mode("agentic")))
    edited = parse(cpu_text().replace("slots = 2", "slots = 3"))

    said = diff(beside(tmp_path, renderer(edited).mode("agentic")))

    assert "+++ " in said
    assert '"--parallel", "3"' in said
    assert "registry.json" not in said


def test_what_is_not_there_yet_is_all_new(tmp_path: Path) -> None:
    said = diff(beside(tmp_path, renderer(cpu()).mode("agentic"))).splitlines()

    assert [line for line in said if line.startswith("-") and not line.startswith("---")] == []
