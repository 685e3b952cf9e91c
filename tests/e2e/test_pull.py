"""`pull` and `models` by the real command, in real containers, from a hub on loopback."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.e2e.puller import Puller, pulling
from tests.hub import Fault, Hub, Repository
from tests.unit.transfer.checkpoints import sharded

SHARD = "model-00001-of-00002.safetensors"
SIZE = 24 << 20
POINTS = (0.05, 0.3, 0.5, 0.75, 0.95)


@pytest.fixture(scope="module")
def puller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Puller]:
    names = [f"org/killed-{number}" for number in range(len(POINTS))]
    tiny = Repository("org/tiny", dict(sharded(SIZE)))
    others = [replace(tiny, name=name) for name in [*names, "org/stopped", "org/twice"]]
    gated = Repository("org/gated", dict(sharded(1 << 17)), gated=True)
    folder = tmp_path_factory.mktemp("puller")
    served = Hub.serving([tiny, *others, gated], tokens=["hf_good"])
    with served as hub, pulling(folder, hub) as found:
        yield found


@pytest.fixture(autouse=True)
def no_faults(puller: Puller) -> Iterator[None]:
    yield
    puller.hub.faults.clear()


@pytest.mark.parametrize("number", range(len(POINTS)))
def test_a_pull_that_is_killed_goes_on_with_the_bytes_that_are_missing(
    puller: Puller, number: int
) -> None:
    repo, hub = f"org/killed-{number}", puller.hub
    hub.faults.append(Fault("slow", SHARD, int(POINTS[number] * SIZE), rate=200_000))
    running = puller.start(repo)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert puller.ended()
    hub.faults.clear()
    (plan,) = puller.stack.json("pull", repo, "--dry-run")
    before = hub.moved()

    (done,) = puller.stack.json("pull", repo)

    # To the byte: what the volume had was not moved again.
    assert 0 < plan["to_move"] < plan["size"]
    assert plan["to_move"] == done["moved"] == hub.moved() - before
    (found,) = puller.stack.json("models", "verify", repo)
    assert found["broken"] == []
    print(
        f"killed at {POINTS[number]:.0%} of a shard: {plan['to_move']} of {plan['size']} bytes were "
        f"missing, {done['moved']} moved, the hub sent {hub.moved() - before}; verified"
    )


def test_ctrl_c_ends_the_container_and_loses_nothing(puller: Puller) -> None:
    puller.hub.faults.append(Fault("slow", SHARD, SIZE // 2, rate=200_000))
    running = puller.start("org/stopped")

    busy = puller.stack.run("pull", "org/stopped", expect=4)
    print(busy.stderr)
    assert f"(process {running.pid})" in busy.stderr
    assert "next: anvil-ctl pull org/stopped --wait" in busy.stderr

    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == 130
    assert puller.ended()
    puller.hub.faults.clear()
    assert puller.stack.json("pull", "org/stopped")[0]["moved"] < 2 * SIZE


def test_of_two_pulls_at_once_one_waits_and_finds_that_all_is_there(puller: Puller) -> None:
    puller.hub.faults.append(Fault("slow", SHARD, SIZE // 2, rate=4_000_000))
    before = puller.hub.moved()
    running = puller.start("org/twice")

    (second,) = puller.stack.json("pull", "org/twice", "--wait")

    running.communicate()
    moved = puller.hub.moved() - before
    print(f"the second moved {second['moved']} bytes; the hub sent {moved} in all")
    assert running.returncode == 0
    assert second["moved"] == 0
    (found,) = puller.stack.json("models", "verify", "org/twice")
    assert (moved, found["broken"]) == (found["size"], [])


def test_a_byte_that_changed_in_the_volume_is_named_and_its_file_alone_repaired(
    puller: Puller,
) -> None:
    puller.stack.run("pull", "org/tiny")
    snapshot = f"/store/hub/models--org--tiny/snapshots/*/{SHARD}"
    puller.shell(f"printf x | dd of=$(readlink -f {snapshot}) bs=1 seek=5000 conv=notrunc")

    broken = puller.stack.run("models", "verify", "org/tiny", expect=1)
    print(broken.stdout)
    assert f"{SHARD}: its bytes have changed" in broken.stdout
    assert "next: anvil-ctl pull org/tiny --verify" in broken.stdout
    before = len(puller.hub.sent)
    puller.stack.run("pull", "org/tiny", "--verify")

    print(f"repaired by fetching {[each.path for each in puller.hub.sent[before:]]}")
    assert [each.path for each in puller.hub.sent[before:]] == [SHARD]
    puller.stack.run("models", "verify", "org/tiny")


def test_a_gated_repository_says_where_to_accept_its_terms(puller: Puller) -> None:
    refused = puller.stack.run("pull", "org/gated", expect=3)
    print(refused.stderr)
    assert f"accept them at {puller.hub.url}/org/gated" in refused.stderr

    opened = replace(puller.stack, extra={**puller.stack.extra, "HF_TOKEN": "hf_good"})
    (done,) = json.loads(opened.run("pull", "org/gated", "--json").stdout)
    print(f"with a token {done['moved']} bytes moved")
    assert done["moved"] > 0


def test_the_starter_comes_by_the_same_path_and_is_not_removed_unasked(puller: Puller) -> None:
    puller.stack.run("pull", "--mode", "agentic")

    (row,) = [each for each in puller.stack.json("models", "ls")["models"] if each["used_by"]]
    assert row["source"] == "starter"
    refused = puller.stack.run("models", "rm", "starter", expect=3)
    assert "anvil-ctl models rm starter --needed" in refused.stderr
    puller.stack.run("models", "rm", "starter", "--needed")
    assert puller.stack.json("pull", "starter")[0]["moved"] == row["size"]
