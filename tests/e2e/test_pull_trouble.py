"""`pull` where the disk is full, the line is dead, or the way leads through a proxy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import proxy
import pytest
import trustme

from tests.e2e.puller import BASE, Puller, pulling
from tests.e2e.stack import docker
from tests.hub import Fault, Hub, Repository
from tests.unit.transfer.checkpoints import gguf, sharded

SHARD = "model-00001-of-00002.safetensors"
SIZE = 16 << 20
MB = 1 << 20


def copies() -> Repository:
    """Three copies of the weights in the folders that some publishers add."""
    files = dict(sharded(1 << 17))
    for folder in ("original", "metal"):
        files |= {f"{folder}/{name}": data for name, data in sharded(1 << 17).items()}
    return Repository("org/copies", dict(files))


def quantized() -> Repository:
    """Two quantizations, one of them in shards."""
    model = {"general.architecture": "llama", "general.name": "tiny"}
    shards = {f"BF16/tiny-BF16-0000{n}-of-00002.gguf": gguf(model, 1 << 18, seed=n) for n in (1, 2)}
    files = {**shards, "tiny-Q4_K_M.gguf": gguf(model, 1 << 17), "config.json": b"{}"}
    return Repository("org/tiny-GGUF", dict(files))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    whole = Repository("org/tiny", dict(sharded(SIZE)))
    with Hub.serving([whole, copies(), quantized()]) as found:
        yield found


@pytest.fixture(autouse=True)
def no_faults(hub: Hub) -> Iterator[None]:
    yield
    hub.faults.clear()


@pytest.fixture(scope="module")
def puller(tmp_path_factory: pytest.TempPathFactory, hub: Hub) -> Iterator[Puller]:
    with pulling(tmp_path_factory.mktemp("trouble"), hub) as found:
        yield found


@pytest.fixture
def small(tmp_path: Path, hub: Hub) -> Iterator[Puller]:
    """A volume of 40 MB."""
    options = ("--opt=type=tmpfs", "--opt=device=tmpfs", "--opt=o=size=40m")
    with pulling(tmp_path, hub, options) as found, held(found.stack.volume):
        yield found


@contextmanager
def held(volume: str) -> Iterator[None]:
    """Docker forgets what such a volume holds as soon as no container has it."""
    mount = f"{volume}:/store"
    holder = docker("run", "--detach", "--rm", "--volume", mount, BASE, "sleep", "600").strip()
    try:
        yield
    finally:
        docker("rm", "--force", holder)


def test_a_model_that_does_not_fit_is_refused_before_a_byte_moves(small: Puller) -> None:
    before = small.hub.moved()

    refused = small.stack.run("pull", "org/tiny", expect=3)

    print(refused.stderr)
    assert "next: " in refused.stderr
    assert small.hub.moved() == before


def test_a_disk_that_fills_up_is_said_and_the_pull_goes_on_once_there_is_room(
    small: Puller,
) -> None:
    slow = Fault("slow", SHARD, SIZE // 2, rate=MB)
    small.hub.faults.append(slow)
    running = small.start("org/tiny", "--headroom", "0")
    small.shell("dd if=/dev/zero of=/store/other bs=1M || true")
    told, _ = running.communicate(timeout=120)

    print(told)
    assert running.returncode == 1
    assert "the disk was full in the middle of" in told
    assert small.ended()
    small.shell("rm /store/other")
    small.hub.faults.clear()
    (plan,) = small.stack.json("pull", "org/tiny", "--headroom", "0", "--dry-run")
    (done,) = small.stack.json("pull", "org/tiny", "--headroom", "0")
    print(f"with room again: {done['moved']} of {plan['size']} bytes moved")
    assert 0 < plan["to_move"] == done["moved"] < plan["size"]
    small.stack.run("models", "verify", "org/tiny")


def test_a_connection_without_a_byte_is_given_up_and_made_again(puller: Puller) -> None:
    stalled = Fault("stall", SHARD, SIZE // 3)
    puller.hub.faults.append(stalled)
    before = puller.hub.moved()

    said = puller.stack.run("pull", "org/tiny", "--stall", "2")

    print(said.stderr)
    assert stalled.struck.is_set()
    assert "no byte" in said.stderr
    (whole,) = puller.stack.json("models", "verify", "org/tiny")
    assert whole["broken"] == []
    (plan,) = puller.stack.json("pull", "org/tiny", "--dry-run")
    assert puller.hub.moved() - before == plan["size"]


def test_copies_in_other_folders_are_left_out_and_named(puller: Puller) -> None:
    (plan,) = puller.stack.json("pull", "org/copies", "--dry-run")

    print(f"chosen: {[each['path'] for each in plan['files']]}", plan["skipped"], sep="\n")
    assert {each["what"] for each in plan["skipped"]} == {"metal/", "original/"}
    assert not any("/" in each["path"] for each in plan["files"])


def test_what_would_be_removed_is_told_and_stays(puller: Puller) -> None:
    puller.stack.run("pull", "org/copies")

    told = puller.stack.run("models", "rm", "org/copies", "--orphans", "--dry-run").stdout

    assert told.startswith("would remove hub/models--org--copies/snapshots/")
    puller.stack.run("models", "verify", "org/copies")
    assert puller.stack.run("models", "rm", "org/copies").stdout.startswith("removed hub/")


def test_of_a_gguf_repository_one_quantization_comes_with_all_its_shards(puller: Puller) -> None:
    unsaid = puller.stack.run("pull", "org/tiny-GGUF", expect=2)
    print(unsaid.stderr)
    assert "next: choose one: --quant BF16" in unsaid.stderr

    puller.stack.run("pull", "org/tiny-GGUF:BF16")
    there = puller.shell(
        "cd /store/hub/models--org--tiny-GGUF/snapshots/* && find . -name '*.gguf'"
    )
    print(there)
    assert sorted(there.split()) == [f"./BF16/tiny-BF16-0000{n}-of-00002.gguf" for n in (1, 2)]


@pytest.mark.parametrize("xet", [False, True])
def test_a_hub_behind_a_proxy_with_an_authority_of_its_own(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, xet: bool
) -> None:
    authority = trustme.CA()
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    tiny = Repository("org/tiny", dict(sharded(1 << 20)), xet=xet)
    guarded = ["--hostname", "127.0.0.1", "--port", "0", "--basic-auth", "me:word"]
    with (
        Hub.serving([tiny], tls=tls) as hub,
        proxy.Proxy([*guarded, "--num-workers", "1", "--num-acceptors", "1"]) as way,
        pulling(tmp_path_factory.mktemp("proxied"), hub) as puller,
    ):
        through = {"HTTPS_PROXY": f"http://me:word@127.0.0.1:{way.flags.port}", "NO_PROXY": ""}
        unknown = replace(puller.stack, extra={**puller.stack.extra, **through})
        assert "certificate" in unknown.run("pull", "org/tiny", expect=1).stderr

        known = replace(unknown, extra={**unknown.extra, "SSL_CERT_FILE": str(trusted)})
        (done,) = known.json("pull", "org/tiny")
        assert done["moved"] == hub.moved() > 0
        assert bool(hub.moved(way="xorb")) is xet

        shut = {**known.extra, "HTTPS_PROXY": f"http://me:wrong@127.0.0.1:{way.flags.port}"}
        refused = replace(known, extra=shut).run("pull", "org/tiny", "--verify", expect=1)
        assert "wrong" not in refused.stderr
