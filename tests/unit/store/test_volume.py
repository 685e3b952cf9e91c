from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl.store import Volume
from tests.unit.store.fakes import FolderEngine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the volume's files lie."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def volume(root: Path) -> Volume:
    return Volume(FolderEngine(root.parent), root.name)


def test_what_is_not_there_has_no_size(volume: Volume) -> None:
    assert volume.size_of("gguf/absent.gguf") is None


def test_a_file_is_as_large_as_it_is(volume: Volume, root: Path) -> None:
    (root / "a model.gguf").write_bytes(b"x" * 5000)

    assert volume.size_of("a model.gguf") == 5000


def test_a_snapshot_is_as_large_as_the_files_that_it_links_to(volume: Volume, root: Path) -> None:
    (root / "blobs").mkdir()
    (root / "snapshots" / "1").mkdir(parents=True)
    for number, size in enumerate((3_000, 4_000)):
        (root / "blobs" / str(number)).write_bytes(b"x" * size)
        (root / "snapshots" / "1" / f"{number}.safetensors").symlink_to(f"../../blobs/{number}")

    assert volume.size_of("snapshots/1") == 7000


def test_a_snapshot_whose_files_are_gone_is_empty(volume: Volume, root: Path) -> None:
    (root / "snapshots").mkdir()
    (root / "snapshots" / "0.safetensors").symlink_to("../blobs/0")

    assert volume.size_of("snapshots") == 0
