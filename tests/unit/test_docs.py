"""The documentation says what the program is: names are taken from the live objects."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from anvil_ctl import __version__, errors
from anvil_ctl.clients import recipe as recipes
from anvil_ctl.config.model import Config
from anvil_ctl.engines import EngineFile

ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def keys(model: type[BaseModel]) -> set[str]:
    """Every key of a schema, those of the tables in it too."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(name)
        for each in (field.annotation, *get_args(field.annotation)):
            if isinstance(each, type) and issubclass(each, BaseModel):
                found |= keys(each)
    return found


def test_the_command_reference_is_what_the_commands_say(tmp_path: Path) -> None:
    fresh = tmp_path / "cli.md"
    typer = Path(sys.executable).parent / "typer"
    subprocess.run(
        [typer, "anvil_ctl.cli.main", "utils", "docs", "--name", "anvil-ctl", "--output", fresh],
        check=True,
        capture_output=True,
        timeout=60,
    )

    # Written anew by: make docs
    assert read("docs/reference/cli.md") == fresh.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "model"),
    [
        ("docs/reference/anvil-toml.md", Config),
        ("docs/reference/engine-folder.md", EngineFile),
    ],
)
def test_every_key_is_explained(page: str, model: type[BaseModel]) -> None:
    named = set(re.findall(r"[a-z_]+", read(page)))

    assert keys(model) - named == set()


def test_no_page_has_the_marks_of_a_merge() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    marked = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)

    assert pages
    assert [path for path in pages if marked.search(path.read_text(encoding="utf-8"))] == []


def test_every_client_with_a_recipe_has_its_section() -> None:
    headings = re.findall(r"^## (\S+)$", read("docs/reference/clients.md"), re.MULTILINE)

    assert sorted(headings) == recipes.names(ROOT / "templates")


def test_every_exit_code_is_explained() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {each.exit_code for each in classes if issubclass(each, errors.AnvilError)}

    assert {f"| {code} |" for code in codes} <= set(
        re.findall(r"^\| \d+ \|", read("docs/reference/exit-codes.md"), re.MULTILINE)
    )


def test_the_changelog_and_the_version_agree() -> None:
    versions = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)

    assert versions[0] == "Unreleased"
    assert __version__ == "0.1.0" or __version__ in versions


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", ["docs/explanation/limits.md", "docs/explanation/multiplexer.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", read(page))

    assert named
    for file, test in named:
        assert not test or re.search(rf"def {test}\(", read(file)), f"{file}::{test}"
