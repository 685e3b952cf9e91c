"""What is listed, proved and taken away, on a folder that has been pulled into."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from anvil_ctl.transfer import lock
from anvil_ctl.transfer.hub import Hub as Client
from anvil_ctl.transfer.layout import RepoFolder, manifests
from anvil_ctl.transfer.problem import Problem
from anvil_ctl.transfer.pull import Order, Pull, survey
from anvil_ctl.transfer.shelf import clean, remove, shelf
from anvil_ctl.transfer.verify import verify
from anvil_ctl.weights.choice import Wish, choose
from tests.hub import Hub, Repository
from tests.unit.transfer.checkpoints import gguf, sharded

REPO, GGUF = "org/tiny", "org/tiny-GGUF"
SHARD = "model-00002-of-00002.safetensors"
METADATA = {"general.architecture": "llama", "general.file_type": 15, "llama.block_count": 2}


@dataclass
class Volume:
    """A folder that two repositories have been pulled into."""

    root: Path
    hub: Hub
    said: list[Mapping[str, Any]] = field(default_factory=list)

    def pull(self, repo: str, quant: str | None = None, to: str = "") -> str:
        client = Client(None)
        found = survey(self.root, client, repo, "main")
        files = choose(found.files, Wish(quant=quant)).files
        order = Order(repo, found.commit, "main", files, to=to)
        done = Pull(self.root, client, order, self.said.append, threading.Event()).run()
        return str(done["manifest"]["path"])

    def verify(self, *, quick: bool = False) -> dict[str, str]:
        known = manifests(self.root)
        found = verify(self.root, known, self.said.append, threading.Event(), quick=quick)
        return {each["path"]: each["why"] for one in found for each in one["broken"]}

    def blob(self, path: str) -> Path:
        return RepoFolder(self.root, REPO).blob(self.hub.repositories[REPO].entries[path].etag)


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Volume]:
    quants: dict[str, bytes | Path] = {
        "m-Q4_K_M-00001-of-00002.gguf": gguf(METADATA, 100_000, 1),
        "m-Q4_K_M-00002-of-00002.gguf": gguf(METADATA, 100_000, 2),
        "m-Q8_0.gguf": gguf(METADATA, 150_000, 3),
        "config.json": b"{}",
    }
    tiny = Repository(REPO, dict(sharded(200_000)))
    with Hub.serving([tiny, Repository(GGUF, quants)]) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield Volume(tmp_path, hub)


def test_what_was_pulled_is_whole(volume: Volume) -> None:
    volume.pull(REPO)
    volume.pull(GGUF, "Q8_0")

    assert volume.verify() == {}
    assert [each["missing"] for each in shelf(volume.root)["models"]] == [[], []]


def test_a_changed_byte_is_named_with_its_file(volume: Volume) -> None:
    volume.pull(REPO)
    blob = volume.blob(SHARD)
    data = bytearray(blob.read_bytes())
    data[-5] ^= 1
    blob.write_bytes(data)

    assert volume.verify() == {SHARD: "its bytes have changed: the checksum is another"}
    assert volume.verify(quick=True) == {}


def test_a_file_that_is_short_or_gone_is_found_without_a_checksum(volume: Volume) -> None:
    volume.pull(REPO)
    blob = volume.blob(SHARD)
    size = blob.stat().st_size
    os.truncate(blob, size - 1)
    volume.blob("tokenizer.json").unlink()

    found = volume.verify(quick=True)

    assert found[SHARD] == f"it has {size - 1} bytes of {size}"
    assert found["tokenizer.json"] == "it is not there"
    assert shelf(volume.root)["models"][0]["missing"] == [SHARD, "tokenizer.json"]


def test_two_quantizations_of_one_repository_share_a_manifest(volume: Volume) -> None:
    volume.pull(GGUF, "Q8_0")
    volume.pull(GGUF, "Q4_K_M")

    (found,) = shelf(volume.root)["models"]
    assert set(found["models"]) == {"m-Q8_0.gguf", "m-Q4_K_M-00001-of-00002.gguf"}
    assert len(found["files"]) == 4


def test_a_gguf_is_shown_under_the_path_that_a_tier_names_with_its_shards(volume: Volume) -> None:
    assert volume.pull(GGUF, "Q4_K_M", "gguf/mine.gguf") == "gguf/mine.gguf"

    first = (volume.root / "gguf" / "mine.gguf").read_bytes()
    assert first == volume.hub.repositories[GGUF].files["m-Q4_K_M-00001-of-00002.gguf"]
    assert (volume.root / "gguf" / "m-Q4_K_M-00002-of-00002.gguf").exists()
    linked = next(each for each in shelf(volume.root)["models"] if each["path"] == "gguf/mine.gguf")
    assert linked["linked"]
    assert linked["models"][""]["quantization"] == "Q4_K_M"
    assert volume.verify() == {}


def test_what_is_removed_is_gone_with_all_that_only_it_used(volume: Volume) -> None:
    path = volume.pull(REPO)
    other = volume.pull(GGUF, "Q8_0")

    freed = remove(volume.root, path)["freed"]

    assert freed >= 400_000
    assert not (volume.root / "hub" / "models--org--tiny").exists()
    assert [each["path"] for each in shelf(volume.root)["models"]] == [other]
    assert volume.verify() == {}


def test_contents_that_another_path_shows_stay(volume: Volume) -> None:
    volume.pull(GGUF, "Q8_0", "gguf/mine.gguf")
    snapshot = RepoFolder(volume.root, GGUF).snapshot(volume.hub.repositories[GGUF].commit)

    remove(volume.root, snapshot)

    assert (volume.root / "gguf" / "mine.gguf").read_bytes()[:4] == b"GGUF"
    assert [each["path"] for each in shelf(volume.root)["models"]] == ["gguf/mine.gguf"]


def test_a_folder_that_is_shown_elsewhere_is_not_removed_under_it(volume: Volume) -> None:
    volume.pull(REPO, to="qwen35-awq")
    snapshot = RepoFolder(volume.root, REPO).snapshot(volume.hub.repositories[REPO].commit)

    with pytest.raises(Problem, match="also shown as qwen35-awq"):
        remove(volume.root, snapshot)


@pytest.mark.parametrize("path", ["", ".", "../other", "/etc"])
def test_nothing_outside_the_volume_is_removed(volume: Volume, path: str) -> None:
    with pytest.raises(Problem, match="no path within the volume"):
        remove(volume.root, path)


def test_parts_and_locks_are_listed_and_only_old_ones_cleaned(volume: Volume) -> None:
    volume.pull(REPO)
    blobs = volume.blob(SHARD).parent
    old, new = blobs / ("1" * 64 + ".incomplete"), blobs / ("2" * 64 + ".incomplete")
    old.write_bytes(b"12345")
    new.write_bytes(b"123")
    os.utime(old, (time.time() - 3600,) * 2)

    assert [each["size"] for each in shelf(volume.root)["parts"]] == [5, 3]
    found = clean(volume.root)

    assert found["freed"] == 5
    assert not old.exists()
    assert new.exists()
    assert found["locks"] == ["org--tiny.pull"]


def test_a_lock_that_is_held_keeps_every_part(volume: Volume) -> None:
    volume.pull(REPO)
    part = volume.blob(SHARD).with_name("1" * 64 + ".incomplete")
    part.write_bytes(b"12345")
    os.utime(part, (time.time() - 3600,) * 2)

    with lock.held(volume.root, REPO, "somebody", lambda _said: None):
        assert clean(volume.root)["parts"] == []
        assert [each["held"] for each in shelf(volume.root)["locks"]] == [True]


def test_a_holder_that_died_is_taken_over_from_by_name(volume: Volume) -> None:
    path = volume.root / lock.FOLDER / "org--tiny.pull"
    path.parent.mkdir()
    path.write_text(json.dumps({"holder": "the dead one", "since": 0.0}))
    assert shelf(volume.root)["locks"] == [{"path": path.name, "held": False, "stale": True}]

    volume.pull(REPO)

    assert any("took over from the dead one" in each.get("text", "") for each in volume.said)


def test_weights_without_a_manifest_are_listed_as_unknown(volume: Volume) -> None:
    (volume.root / "gguf").mkdir()
    (volume.root / "gguf" / "found.gguf").write_bytes(b"GGUF")
    snapshot = volume.root / "hub" / "models--a--b" / "snapshots" / "c"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")

    assert shelf(volume.root)["unknown"] == ["gguf/found.gguf", "hub/models--a--b/snapshots/c"]
