"""From a hub that keeps its files by Xet: what is moved which way, and what is made of failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _xet

from anvil_ctl.transfer import xet
from anvil_ctl.transfer.layout import RepoFolder, read_manifest
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.stream import Growing
from tests.hub import Fault, Hub, Repository
from tests.hub.faults import Way
from tests.hub.xet import stored
from tests.unit.transfer.checkpoints import sharded
from tests.unit.transfer.setting import REPO, Setting

SHARD = "model-00001-of-00002.safetensors"
OTHER = "model-00002-of-00002.safetensors"
SIZE = 3 << 20
# The largest chunk: what is moved twice where a file goes on in the middle of one.
CHUNK = 128 << 10
ALWAYS = 1000


@pytest.fixture(scope="module")
def repository() -> Repository:
    return Repository(REPO, dict(sharded(SIZE)), xet=True)


@pytest.fixture
def setting(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Setting]:
    # Tokens are kept by address, and another hub may get an address again.
    _xet.XET_CONNECTION_INFO_CACHE.clear()
    gated = replace(repository, name="org/gated", gated=True)
    with Hub.serving([repository, gated], tokens=["hf_good"]) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield Setting(hub, tmp_path)


def large(setting: Setting) -> int:
    """Bytes of the files that Xet has."""
    entries = setting.hub.repositories[REPO].entries.values()
    return sum(each.size for each in entries if each.large)


def begun(setting: Setting, path: str = SHARD) -> int:
    """Bytes of a file that an earlier pull has left."""
    etag = setting.hub.repositories[REPO].entries[path].etag
    return RepoFolder(setting.root, REPO).part(etag).stat().st_size


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_repository_arrives_whole_by_xet(setting: Setting, version: str) -> None:
    setting.hub.cas_versions = frozenset({version})

    found = setting.pull()

    commit = setting.hub.repositories[REPO].commit
    manifest = read_manifest(setting.root, RepoFolder(setting.root, REPO).snapshot(commit))
    assert setting.whole()
    assert manifest is not None
    assert found["moved"] == manifest.size == setting.hub.moved()
    assert setting.hub.moved(way="xorb") == large(setting)
    assert set(setting.hub.reconstructions) == {SHARD, OTHER, "tokenizer.json"}
    assert setting.notes == ""


def test_a_token_that_runs_out_is_renewed_on_the_way(setting: Setting) -> None:
    setting.hub.old_tokens = 1

    setting.pull()

    assert setting.whole()
    assert setting.hub.old_tokens < 0
    assert setting.hub.moved(way="xorb") == large(setting)


def test_nothing_is_reported_to_the_storage(setting: Setting) -> None:
    setting.pull()

    assert not [each for each in setting.hub.asked if "POST" in each]


def test_progress_is_told_while_bytes_come(setting: Setting) -> None:
    setting.stall_s = 30
    terms = stored(setting.hub.repositories[REPO].entries[SHARD]).terms
    setting.hub.faults += [
        Fault("slow", SHARD, terms[4].at, rate=1 << 18, way="xorb"),
        Fault("slow", SHARD, terms[8].at, rate=1 << 17, way="xorb"),
    ]

    setting.pull()

    told = [each["done"] for each in setting.said if each["say"] == "progress"]
    assert len({each for each in told if 0 < each < told[-1]}) > 1
    assert told == sorted(told)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_file_that_was_cut_off_goes_on_at_its_byte(setting: Setting, share: float) -> None:
    at = int(SIZE * share)
    setting.hub.faults += [
        Fault("cut", SHARD, at, times=ALWAYS, way="xorb"),
        Fault("refuse", SHARD, at, times=ALWAYS, way="plain"),
    ]
    with pytest.raises(Problem) as raised:
        setting.pull()
    assert raised.value.kind is Kind.NETWORK

    setting.hub.faults.clear()
    had, before = begun(setting), setting.hub.moved(SHARD)
    found = setting.pull()

    size = setting.hub.repositories[REPO].entries[SHARD].size
    assert setting.whole()
    assert had <= at
    assert found["moved"] >= size - had
    assert size - had <= setting.hub.moved(SHARD) - before < size - had + CHUNK


def test_what_has_arrived_is_not_fetched_again(setting: Setting) -> None:
    setting.hub.faults += [
        Fault("cut", SHARD, 1 << 20, times=ALWAYS, way="xorb"),
        Fault("refuse", SHARD, 1 << 20, times=ALWAYS, way="plain"),
    ]
    # Only the one that fails, and the small ones before it: which are whole is then certain.
    with pytest.raises(Problem):
        setting.pull()
    folder = RepoFolder(setting.root, REPO)
    entries = setting.hub.repositories[REPO].entries
    there = {path for path, each in entries.items() if folder.blob(each.etag).exists()}
    setting.hub.faults.clear()
    setting.hub.sent.clear()

    setting.pull()

    assert there
    assert not there & {each.path for each in setting.hub.sent}
    assert setting.whole()


def test_a_pull_that_is_stopped_ends_at_once_and_goes_on_at_its_byte(setting: Setting) -> None:
    setting.hub.faults.append(Fault("slow", SHARD, 1 << 20, rate=1 << 18, way="xorb"))
    watching = threading.Thread(target=setting.stop_once_slow)
    watching.start()
    with pytest.raises(Problem) as raised:
        setting.pull()
    watching.join()
    assert raised.value.kind is Kind.STOPPED

    setting.hub.faults.clear()
    had = begun(setting)
    setting.pull()

    assert 0 < had <= 1 << 20
    assert setting.whole()


def test_a_stop_does_not_wait_for_a_byte(setting: Setting) -> None:
    setting.stall_s = 30
    setting.hub.faults.append(Fault("stall", SHARD, 1 << 20, way="xorb"))
    stopped = []

    def stop() -> None:
        setting.stop_once_slow()
        stopped.append(time.monotonic())

    watching = threading.Thread(target=stop)
    watching.start()
    with pytest.raises(Problem) as raised:
        setting.pull()
    ended = time.monotonic()
    watching.join()

    assert raised.value.kind is Kind.STOPPED
    assert ended - stopped[0] < 5


@pytest.mark.parametrize("way", ["cas", "xorb"])
def test_a_storage_that_stalls_is_left_for_plain_http_at_the_byte(
    setting: Setting, way: Way
) -> None:
    at = 1 << 20 if way == "xorb" else 0
    setting.hub.faults.append(Fault("stall", SHARD, at, times=ALWAYS, way=way))

    found = setting.pull()

    (rest,) = [each for each in setting.hub.sent if each.path == SHARD and each.way == "plain"]
    assert setting.whole()
    assert "no byte came" in setting.notes
    assert "from here on by plain HTTP instead of Xet" in setting.notes
    assert found["moved"] == sum(
        each.size for each in setting.hub.repositories[REPO].entries.values()
    )
    assert rest.start + rest.sent == setting.hub.repositories[REPO].entries[SHARD].size
    assert rest.start > 0 or way == "cas"


def test_a_stall_that_passes_is_no_reason_to_leave_xet(setting: Setting) -> None:
    stalled = Fault("stall", SHARD, 1 << 20, way="xorb")
    setting.hub.faults.append(stalled)

    setting.pull()

    assert stalled.struck.is_set()
    assert setting.whole()
    assert setting.hub.moved(SHARD, way="plain") == 0


@pytest.mark.parametrize("way", ["token", "cas"])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_said_once_and_plain_http_brings_the_rest(
    setting: Setting, way: Way, status: int
) -> None:
    path = REPO if way == "token" else SHARD
    setting.hub.faults.append(Fault("refuse", path, times=ALWAYS, way=way, status=status))

    setting.pull()

    assert setting.whole()
    assert f"answered {status}" in setting.notes
    assert setting.notes.count("from here on by plain HTTP instead of Xet") == 1
    assert "again in" not in setting.notes


def test_a_storage_that_is_broken_is_tried_again_and_then_left(setting: Setting) -> None:
    setting.hub.faults.append(Fault("refuse", SHARD, times=ALWAYS, way="cas", status=500))

    setting.pull()

    assert setting.whole()
    assert "answered 500 Internal Server Error; again in" in setting.notes
    assert setting.notes.count("from here on by plain HTTP instead of Xet") == 1


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_xorb_that_is_not_given_comes_by_plain_http(setting: Setting, status: int) -> None:
    """The library tells the answer's status sometimes, and is right to ask anew after a 403."""
    refused = Fault("refuse", SHARD, 1 << 20, times=ALWAYS, way="xorb", status=status)
    setting.hub.faults.append(refused)

    setting.pull()

    (rest,) = [each for each in setting.hub.sent if each.path == SHARD and each.way == "plain"]
    assert refused.struck.is_set()
    assert setting.whole()
    assert rest.start <= 1 << 20
    assert setting.notes.count("from here on by plain HTTP instead of Xet") == 1


def test_where_no_way_leads_the_last_cause_is_told(setting: Setting) -> None:
    setting.hub.faults += [
        Fault("refuse", SHARD, way="cas", status=403, times=ALWAYS),
        Fault("refuse", SHARD, way="plain", status=503, times=ALWAYS),
    ]

    with pytest.raises(Problem, match=f"{SHARD} at 0 of .* the hub answered 503") as raised:
        setting.pull()

    assert raised.value.kind is Kind.NETWORK
    assert "\n" not in raised.value.text


def test_a_flipped_byte_is_found_and_its_file_alone_fetched_again_past_xet(
    setting: Setting,
) -> None:
    setting.hub.faults.append(Fault("flip", SHARD, 1 << 20, way="xorb"))

    setting.pull()

    assert setting.whole()
    assert f"{SHARD} arrived damaged" in setting.notes
    assert [
        each.path for each in setting.hub.sent if each.way == "plain" and each.sent > CHUNK
    ] == [SHARD]
    assert setting.hub.moved(OTHER) == setting.hub.repositories[REPO].entries[OTHER].size


def test_xet_is_not_used_where_it_is_switched_off(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    setting.pull()

    assert setting.whole()
    assert setting.hub.reconstructions == []
    assert not [each for each in setting.hub.asked if "xet-read-token" in each]


def test_what_plain_http_has_begun_is_continued_by_xet(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.hub.faults.append(Fault("cut", SHARD, 2 << 20, times=ALWAYS))
    with monkeypatch.context() as off:
        off.setattr(constants, "HF_HUB_DISABLE_XET", True)
        with pytest.raises(Problem):
            setting.pull()
    setting.hub.faults.clear()
    setting.hub.sent.clear()

    setting.pull()

    size = setting.hub.repositories[REPO].entries[SHARD].size
    assert setting.whole()
    assert setting.hub.moved(SHARD, way="plain") == 0
    assert size - (2 << 20) <= setting.hub.moved(SHARD, way="xorb") < size - (2 << 20) + CHUNK


def test_the_token_of_a_gated_repository_is_told_to_the_hub_alone(setting: Setting) -> None:
    """The storage of the test's hub takes its own token only, and xorbs come where none is shown."""
    assert setting.pull(repo="org/gated", token="hf_good")["moved"] > 2 * SIZE

    assert setting.hub.moved(way="xorb") == large(setting)


def test_a_panic_of_the_library_reaches_who_waits_for_the_stream(tmp_path: Path) -> None:
    class Panic(BaseException):
        pass

    def stream() -> Iterator[bytes]:
        yield b"some"
        raise Panic

    reading = xet._Reading(stream())
    with Growing(tmp_path / "part", lambda _count: None) as into:
        assert list(reading.pieces(into)) == [b"some"]

    assert isinstance(reading.error, Panic)
