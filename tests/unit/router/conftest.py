"""What tests of the router name in their marks."""

from __future__ import annotations

import pytest


@pytest.fixture
def mux_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUX_TOKEN", "mux-secret")
