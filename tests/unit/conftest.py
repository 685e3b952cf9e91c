"""No unit test meets a Docker engine: what needs one is in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "authority.pem"
    trustme.CA().cert_pem.write_to_path(file)
    return file


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, and one authority: reading all public ones for each client takes 25 ms."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
