"""What is installed works from any folder, without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from anvil_ctl import images

ROOT = Path(__file__).parents[2]
RENDER = """
from anvil_ctl import paths, site
found = site.load(paths.Home.from_environ())
print(paths.bundle())
print(found.renderer.mode("flexibility").project)
print(sorted(found.catalog))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    with zipfile.ZipFile(next((folder / "dist").glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def test_the_wheel_carries_its_data_and_renders_from_it(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "-m", "anvil_ctl", "init", "--site", "cpu")

    bundle, project, catalog = run(installed, tmp_path, "-c", RENDER).splitlines()

    assert Path(bundle) == installed / "anvil_ctl" / "_data"
    assert project == "anvil-flexibility"
    assert catalog == str(sorted(images.catalog(ROOT, ROOT / "anvil_ctl")))
    assert "OpenAI()" in run(installed, tmp_path, "-m", "anvil_ctl", "connect", "openai")


def test_the_wheel_has_no_tests_and_no_secrets(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir()}

    assert {each for each in tops if not each.endswith(".dist-info")} == {"anvil_ctl"}
    assert not list(installed.rglob(".env"))
