"""The same short search every time: made-up bytes, and every case that was once found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.fuzz.made import MADE
from tests.unit.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
CASES = [(path.parent.name, path) for path in sorted(CORPUS.glob("*/*"))]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_whatever_looks_right_keeps_the_rules(name: str) -> None:
    @settings(suppress_health_check=list(HealthCheck))
    @given(MADE[name])
    def search(data: bytes) -> None:
        TARGETS[name](data)

    search()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_any_bytes_keep_the_rules(name: str) -> None:
    @given(st.binary(max_size=200))
    def search(data: bytes) -> None:
        TARGETS[name](data)

    search()


@pytest.mark.parametrize(("name", "path"), CASES, ids=lambda each: getattr(each, "name", each))
def test_what_was_found_once_stays_mended(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())
