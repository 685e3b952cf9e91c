from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from anvil_ctl.paths import PACKAGE

ROOT = PACKAGE.parent
LOCKS = {
    "base": ROOT / "requirements" / "base.txt",
    "dev": ROOT / "requirements" / "dev.txt",
    "compose": ROOT / "requirements" / "compose.txt",
    "fuzz": ROOT / "requirements" / "fuzz.txt",
    "clients": ROOT / "requirements" / "clients.txt",
    "control": ROOT / "compose" / "control" / "requirements.txt",
}


def _pins(lock: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower() for each in requirements}


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = _names(project["project"]["dependencies"])
    tools = _names(project["dependency-groups"]["dev"])
    compose = _names(project["project"]["optional-dependencies"]["compose"])

    assert needed - _pins(LOCKS["base"]).keys() == set()
    assert (needed | tools) - _pins(LOCKS["dev"]).keys() == set()
    assert compose - _pins(LOCKS["compose"]).keys() == set()


def test_the_host_and_the_control_image_run_on_the_same_versions() -> None:
    base = _pins(LOCKS["base"])

    for lock in ("dev", "control"):
        other = _pins(LOCKS[lock])
        assert {name: other[name] for name in other.keys() & base.keys()} == {
            name: base[name] for name in other.keys() & base.keys()
        }


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
def test_a_lock_has_a_hash_for_each_package_and_names_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "--index" not in text
