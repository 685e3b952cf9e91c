from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anvil_ctl.doctor import station
from anvil_ctl.doctor.gather import skew_s
from anvil_ctl.doctor.survey import NO_JOURNAL
from anvil_ctl.paths import PACKAGE, Home
from tests.unit.doctor.surveys import healthy


def test_the_page_cache_is_read_from_the_kernels_own_words() -> None:
    assert (
        station.page_cache("MemTotal: 8 kB\nCached:        1024 kB\nSwapCached: 1 kB\n") == 1 << 20
    )
    assert station.page_cache("") is None


def test_a_disk_that_is_not_on_this_host_has_no_free_space_to_be_known(tmp_path: Path) -> None:
    assert station.free_bytes(tmp_path) is not None
    assert station.free_bytes(tmp_path / "absent") is None
    assert station.free_bytes(Path()) is None


@pytest.mark.parametrize(
    ("said", "skew"),
    [
        ("2026-11-25T17:00:30.123456789Z", 30.0),
        ("2026-11-25T19:00:00.5+02:00", 0.0),
        ("", 0.0),
        ("yesterday", 0.0),
    ],
)
def test_the_engines_clock_is_compared_by_what_it_prints(said: str, skew: float) -> None:
    assert skew_s(said, 1795626000.0) == skew


def test_files_of_the_home_are_read_or_known_to_be_absent(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.secrets.write_text("", encoding="utf-8")
    home.secrets.chmod(0o640)

    found = station.home(home, healthy().site, "agentic", NO_JOURNAL)

    assert found.secrets_mode == 0o640
    assert set(found.installed) == {"compose.yaml", "router.toml", "registry.json"}
    assert station.home(Home(tmp_path / "none"), None, "agentic", NO_JOURNAL).secrets_mode is None


def test_this_host_can_be_looked_at() -> None:
    found = station.station({})

    assert found.page_cache
    assert found.version


def test_a_program_that_runs_from_the_folder_for_temporary_files_is_told_from_another(
    tmp_path: Path,
) -> None:
    assert not _is_temporary(tmp_path)
    assert _is_temporary(PACKAGE.parent)


def _is_temporary(folder: Path) -> bool:
    """What a program says of itself on a host whose folder for temporary files that is."""
    ask = "from anvil_ctl.doctor import station; print(station.station({}).temporary)"
    told = subprocess.run(
        [sys.executable, "-c", ask],
        env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return {"True": True, "False": False}[told.stdout.strip()]
