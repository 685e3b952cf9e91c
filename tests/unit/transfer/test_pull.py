"""Against a hub on loopback, with the hub's own client: what is moved, and what is made of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anvil_ctl.transfer.layout import RepoFolder, read_manifest
from anvil_ctl.transfer.problem import Kind, Problem
from tests.hub import Fault, Hub, Repository
from tests.unit.transfer.checkpoints import sharded
from tests.unit.transfer.setting import REPO, Setting

SHARD = "model-00001-of-00002.safetensors"
SIZE = 3 << 20


@pytest.fixture(scope="module")
def repository() -> Repository:
    return Repository(REPO, dict(sharded(SIZE)))


@pytest.fixture
def setting(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Setting]:
    gated = replace(repository, name="org/gated", gated=True)
    with Hub.serving([repository, gated], tokens=["hf_good"]) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield Setting(hub, tmp_path)


def test_a_repository_arrives_whole_with_a_manifest(setting: Setting) -> None:
    found = setting.pull()

    commit = setting.hub.repositories[REPO].commit
    folder = RepoFolder(setting.root, REPO)
    manifest = read_manifest(setting.root, folder.snapshot(commit))
    assert setting.whole()
    assert manifest is not None
    assert manifest.revision == commit
    assert manifest.models[""].weights_bytes == 2 * SIZE
    assert manifest.models[""].kv_bytes_per_token == 2 * 4 * 2 * 8 * 2
    assert found["moved"] == manifest.size
    assert (setting.root / folder.name / "refs" / "main").read_text() == commit
    assert not list(setting.root.rglob("*.incomplete"))


def test_a_second_pull_moves_nothing(setting: Setting) -> None:
    setting.pull()
    before = setting.hub.moved()

    assert setting.pull()["moved"] == 0
    assert setting.hub.moved() == before


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.75, 0.99])
def test_a_pull_that_was_cut_off_moves_only_what_is_missing(setting: Setting, share: float) -> None:
    at = int(SIZE * share)
    setting.hub.faults.append(Fault("cut", SHARD, at, times=10))
    with pytest.raises(Problem) as raised:
        setting.pull()
    assert raised.value.kind is Kind.NETWORK

    setting.hub.faults.clear()
    first = setting.hub.moved(SHARD)
    setting.pull()

    assert setting.whole()
    size = len(setting.hub.repositories[REPO].files[SHARD])  # type: ignore[arg-type]
    again = [each.start for each in setting.hub.sent if each.path == SHARD][-1]
    assert again == at
    assert setting.hub.moved(SHARD) - first == size - again


def test_a_connection_that_ends_early_is_continued_at_once(setting: Setting) -> None:
    setting.hub.faults.append(Fault("cut", SHARD, 2 << 20))

    setting.pull()

    assert setting.whole()
    assert "again in" in setting.notes
    assert [each.start for each in setting.hub.sent if each.path == SHARD][-1] > 0


def test_a_stalled_connection_is_noticed_and_continued(setting: Setting) -> None:
    setting.hub.faults.append(Fault("stall", SHARD, 2 << 20))

    setting.pull()

    assert setting.whole()
    assert "no byte came for 0.4 s" in setting.notes


def test_a_flipped_byte_is_found_and_its_file_alone_fetched_again(setting: Setting) -> None:
    setting.hub.faults.append(Fault("flip", SHARD, 1 << 20))

    setting.pull()

    starts = [each.path for each in setting.hub.sent]
    assert setting.whole()
    assert f"{SHARD} arrived damaged" in setting.notes
    assert starts.count(SHARD) == 2
    assert all(starts.count(path) == 1 for path in set(starts) - {SHARD})


def test_a_file_that_is_always_damaged_ends_the_pull(setting: Setting) -> None:
    setting.hub.faults.append(Fault("flip", SHARD, 1 << 20, times=99))

    with pytest.raises(Problem, match="another checksum") as raised:
        setting.pull()

    assert raised.value.kind is Kind.DAMAGED
    assert (
        read_manifest(
            setting.root, f"hub/models--org--tiny/snapshots/{setting.hub.repositories[REPO].commit}"
        )
        is None
    )


def test_a_hub_that_is_overloaded_is_asked_again(setting: Setting) -> None:
    setting.hub.faults.append(Fault("refuse", SHARD, 0, times=2))

    setting.pull()

    assert setting.whole()


def test_a_byte_that_changed_on_disk_is_repaired_alone(setting: Setting) -> None:
    setting.pull()
    blob = RepoFolder(setting.root, REPO).blob(setting.hub.repositories[REPO].entries[SHARD].etag)
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1")
    before = len(setting.hub.sent)

    setting.pull(recheck=True)

    assert setting.whole()
    assert [each.path for each in setting.hub.sent[before:]] == [SHARD]


def test_a_gated_repository_is_refused_before_a_byte_moves(setting: Setting) -> None:
    for token in (None, "hf_unknown"):
        with pytest.raises(Problem) as raised:
            setting.pull(repo="org/gated", token=token)

        assert raised.value.kind is Kind.GATED
        assert raised.value.text == f"{setting.hub.url}/org/gated"
    assert setting.hub.sent == []


def test_a_token_opens_a_gated_repository_and_is_told_to_the_hub_alone(setting: Setting) -> None:
    """The content host of the test's hub refuses whoever shows it a token."""
    assert setting.pull(repo="org/gated", token="hf_good")["moved"] > 2 * SIZE


def test_a_repository_that_is_not_there_is_said(setting: Setting) -> None:
    with pytest.raises(Problem) as raised:
        setting.pull(repo="org/none")

    assert raised.value.kind is Kind.NO_REPO


def test_a_second_pull_of_one_repository_names_the_first(setting: Setting) -> None:
    setting.hub.faults.append(Fault("stall", SHARD, 1 << 20))
    first = threading.Thread(target=setting.pull, kwargs={"holder": "the first"})
    first.start()
    assert setting.hub.faults[0].struck.wait(10)

    with pytest.raises(Problem, match="is being pulled by the first, for ") as raised:
        Setting(setting.hub, setting.root).pull(holder="the second")

    assert raised.value.kind is Kind.BUSY
    first.join()
    assert setting.whole()


def test_a_pull_that_waits_takes_its_turn(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anvil_ctl.transfer.lock._LOOK_EVERY_S", 0.02)
    setting.hub.faults.append(Fault("stall", SHARD, 1 << 20))
    first = threading.Thread(target=setting.pull)
    first.start()
    assert setting.hub.faults[0].struck.wait(10)

    second = Setting(setting.hub, setting.root)
    assert second.pull(wait=True)["moved"] == 0
    assert "waiting" in second.notes
    first.join()


def test_a_pull_that_is_stopped_goes_on_where_it_was(setting: Setting) -> None:
    setting.hub.faults.append(Fault("slow", SHARD, 1 << 20, rate=2 << 20))
    watching = threading.Thread(target=setting.stop_once_slow)
    watching.start()
    with pytest.raises(Problem) as raised:
        setting.pull()
    watching.join()
    assert raised.value.kind is Kind.STOPPED

    setting.hub.faults.clear()
    assert setting.pull()["moved"] < 2 * SIZE
    assert setting.whole()


def test_a_full_disk_is_said_with_the_file(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("anvil_ctl.transfer.stream.Growing.write", full)
    with pytest.raises(Problem, match="the disk was full in the middle of") as raised:
        setting.pull()

    assert raised.value.kind is Kind.SPACE


def test_an_index_that_names_a_shard_that_is_not_published_is_refused(setting: Setting) -> None:
    files = dict(setting.hub.repositories[REPO].files)
    del files[SHARD]
    setting.hub.repositories["org/short"] = Repository("org/short", files)

    with pytest.raises(Problem, match="the index names it, and it is not there"):
        setting.pull(repo="org/short")
