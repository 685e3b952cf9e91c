"""`pull` by the real command from a hub that keeps its files by Xet, as nearly all of the real one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.pull import MOST_MEMORY, checkpoint, watched
from tests.e2e.puller import Puller, pulling
from tests.e2e.stack import docker
from tests.hub import Fault, Hub, Repository
from tests.unit.transfer.checkpoints import sharded

SHARD = "model-00001-of-00002.safetensors"
SIZE = 24 << 20
POINTS = (0.3, 0.75)
REFUSALS = (401, 403, 404, 503)
CHUNK = 128 << 10
ALWAYS = 1000
PLAIN = "from here on by plain HTTP instead of Xet"


NAMES = (
    *(f"org/killed-{number}" for number in range(len(POINTS))),
    *(f"org/refused-{status}" for status in REFUSALS),
    *(f"org/{word}" for word in ("stopped", "stalled", "shut", "flipped", "off")),
)


@pytest.fixture(scope="module")
def puller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Puller]:
    tiny = Repository("org/tiny", dict(sharded(SIZE)), xet=True)
    folder = tmp_path_factory.mktemp("large")
    checkpoint(folder, 0.4)
    small = {"config.json": (folder / "config.json").read_bytes()}
    shards = {each.name: each for each in folder.glob("*.safetensors")}
    large = Repository("org/large", {**small, **shards}, xet=True)
    served = Hub.serving([tiny, *(replace(tiny, name=name) for name in NAMES), large])
    with served as hub, pulling(tmp_path_factory.mktemp("xet"), hub) as found:
        yield found


@pytest.fixture(autouse=True)
def no_faults(puller: Puller) -> Iterator[None]:
    yield
    puller.hub.faults.clear()
    puller.hub.sent.clear()


def slow(share: float) -> Fault:
    return Fault("slow", SHARD, int(share * SIZE), rate=50_000, way="xorb")


def begun(puller: Puller, repo: str) -> None:
    """Wait until the volume has some of the shard: its other files are not much more than half."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        (plan,) = puller.stack.json("pull", repo, "--dry-run")
        if plan["to_move"] < SIZE:
            return
    raise AssertionError(plan)


def verified(puller: Puller, repo: str) -> None:
    (found,) = puller.stack.json("models", "verify", repo)
    assert found["broken"] == []


def test_a_repository_comes_whole_by_xet_within_the_memory_that_a_pull_may_have(
    puller: Puller,
) -> None:
    began = time.monotonic()
    with watched(puller.stack.volume) as used:
        (done,) = puller.stack.json("pull", "org/large")

    seconds, moved = time.monotonic() - began, done["moved"]
    print(f"{moved} bytes by Xet in {seconds:.1f} s, at most {used.memory:.0f} MB of memory")
    assert moved * 0.99 < puller.hub.moved(way="xorb") < moved * 1.02
    assert len(set(puller.hub.reconstructions)) >= 4
    assert 0 < used.memory < MOST_MEMORY
    verified(puller, "org/large")


@pytest.mark.parametrize("number", range(len(POINTS)))
def test_a_pull_by_xet_that_is_killed_goes_on_with_the_bytes_that_are_missing(
    puller: Puller, number: int
) -> None:
    repo, hub = f"org/killed-{number}", puller.hub
    hub.faults.append(slow(POINTS[number]))
    running = puller.start(repo)
    begun(puller, repo)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert puller.ended()
    hub.faults.clear()
    (plan,) = puller.stack.json("pull", repo, "--dry-run")
    before = hub.moved()

    (done,) = puller.stack.json("pull", repo)

    # Chunks come whole: those in whose middle a request begins or ends come twice.
    sent = hub.moved() - before
    print(f"killed at {POINTS[number]:.0%} of a shard: {plan['to_move']} missing, {sent} were sent")
    assert 0 < plan["to_move"] == done["moved"] < plan["size"]
    assert plan["to_move"] <= sent < plan["to_move"] + (sent // 8_000_000 + 2) * CHUNK
    assert hub.moved(way="plain") == 0 or hub.moved(SHARD, way="plain") == 0
    verified(puller, repo)


def test_ctrl_c_ends_a_pull_by_xet_at_once_and_it_has_written_nothing_elsewhere(
    puller: Puller,
) -> None:
    puller.hub.faults.append(slow(0.5))
    running = puller.start("org/stopped")
    begun(puller, "org/stopped")
    label = f"--filter=label=dev.anvil.store={puller.stack.volume}"
    container = docker("ps", "--quiet", label).strip()
    elsewhere = docker("exec", container, "find", "/tmp", "-type", "f")
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate()
    seconds = time.monotonic() - began

    print(f"ended after {seconds:.1f} s; files in /tmp: {elsewhere.split()}\n{said}")
    assert running.returncode == 130
    assert "Traceback" not in said
    assert seconds < 10
    assert elsewhere == ""
    assert puller.ended()
    assert puller.shell("find /store -iname '*xet*'") == ""
    puller.hub.faults.clear()
    assert puller.stack.json("pull", "org/stopped")[0]["moved"] < SIZE


def test_a_storage_that_stalls_is_left_for_plain_http(puller: Puller) -> None:
    puller.hub.faults.append(Fault("stall", SHARD, SIZE // 3, times=ALWAYS, way="xorb"))

    said = puller.stack.run("pull", "org/stalled", "--stall", "2")

    (rest,) = [each for each in puller.hub.sent if each.path == SHARD and each.way == "plain"]
    print(f"{said.stderr}plain HTTP went on at {rest.start}")
    assert "no byte came by Xet for 2 s" in said.stderr
    assert PLAIN in said.stderr
    assert 0 < rest.start <= SIZE // 3
    verified(puller, "org/stalled")


@pytest.mark.parametrize("status", REFUSALS)
def test_a_storage_that_refuses_is_named_and_plain_http_brings_the_weights(
    puller: Puller, status: int
) -> None:
    repo = f"org/refused-{status}"
    puller.hub.faults.append(Fault("refuse", SHARD, times=ALWAYS, way="cas", status=status))

    said = puller.stack.run("pull", repo)

    print(said.stderr)
    assert f"answered {status}" in said.stderr
    assert said.stderr.count(PLAIN) == 1
    assert "Traceback" not in said.stderr
    verified(puller, repo)


def test_where_plain_http_is_refused_too_one_line_says_so_and_the_next_step(
    puller: Puller,
) -> None:
    puller.hub.faults += [
        Fault("refuse", "org/shut", times=ALWAYS, way="token", status=403),
        Fault("refuse", SHARD, times=ALWAYS, way="plain", status=503),
    ]

    said = puller.stack.run("pull", "org/shut", expect=1)

    print(said.stderr)
    assert "asked for a token for Xet, the hub answered 403" in said.stderr
    assert "attempts in a row brought nothing" in said.stderr
    assert "next: check the network, then anvil-ctl pull org/shut goes on" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_byte_that_xet_brought_wrong_is_found_and_its_file_alone_fetched_again(
    puller: Puller,
) -> None:
    puller.hub.faults.append(Fault("flip", SHARD, SIZE // 2, way="xorb"))

    said = puller.stack.run("pull", "org/flipped")

    again = {each.path for each in puller.hub.sent if each.way == "plain" and each.sent > CHUNK}
    print(f"{said.stderr}fetched again: {again}")
    assert f"{SHARD} arrived damaged" in said.stderr
    assert again == {SHARD}
    verified(puller, "org/flipped")


def test_xet_is_switched_off_by_the_variable_of_the_hub_s_own_tools(puller: Puller) -> None:
    before = len(puller.hub.reconstructions)
    off = replace(puller.stack, extra={**puller.stack.extra, "HF_HUB_DISABLE_XET": "1"})

    off.run("pull", "org/off")

    assert len(puller.hub.reconstructions) == before
    assert puller.hub.moved(way="xorb") == 0
    verified(puller, "org/off")
