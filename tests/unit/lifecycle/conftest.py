"""The installation that transitions are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.paths import Home
from anvil_ctl.site import Site
from tests.unit.definitions import cpu, renderer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Home(tmp_path / "anvil"), cpu(), {}, renderer(cpu()), {})
