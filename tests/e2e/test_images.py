"""Published images, from a registry of our own on loopback: locked, pulled, moved, checked."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from anvil_ctl import images
from anvil_ctl.docker import Docker
from anvil_ctl.events import silent
from anvil_ctl.history import History
from anvil_ctl.paths import bundle
from tests.e2e.stack import Stack, docker, free_ports, new_stack

REGISTRY = images.Image(
    "anvil-test/registry",
    {
        "Dockerfile": b"FROM debian:trixie-slim\n"
        b"ARG APT_OPTIONS=\n"
        b"RUN apt-get ${APT_OPTIONS} update -q"
        b" && apt-get install -qy --no-install-recommends docker-registry"
        b" && rm -rf /var/lib/apt/lists/*\n"
        b"COPY registry.yml /\n"
        b'CMD ["docker-registry", "serve", "/registry.yml"]\n',
        "registry.yml": b"{version: 0.1, http: {addr: ':5000'},"
        b" storage: {filesystem: {rootdirectory: /var/lib/registry}}}\n",
    },
)
OFFICIAL = "ghcr.io/ggml-org/llama.cpp:server-b11669"


@dataclass(frozen=True, slots=True)
class Published:
    """An installation whose llama.cpp image is published as `reference`, and the registry."""

    stack: Stack
    reference: str
    container: str

    def publish(self, content: str) -> str:
        """Push a small image under the tag, remove it here, and return its digest."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo("content")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
        subprocess.run(
            ["docker", "import", "-", self.reference],
            input=archive.getvalue(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        docker("push", "--quiet", self.reference)
        shown = ["image", "inspect", "--format", "{{.Id}} {{index .RepoDigests 0}}"]
        image, _, digest = docker(*shown, self.reference).strip().partition(" ")
        docker("rmi", "--force", image)
        return digest.partition("@")[2]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("registry")
    tag = images.build(Docker(), REGISTRY, silent, History(folder / "durations.json"))
    port = free_ports(1)
    name = f"anvil-test-registry-{port}"
    docker("run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:5000", tag)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/")
        reference = f"127.0.0.1:{port}/llama.cpp:server-b11669"
        # An engine is a folder: the program is copied, and its llama.cpp names another registry.
        program = folder / "program"
        for part in ("anvil_ctl", "compose", "engines", "templates", "volumes"):
            shutil.copytree(bundle() / part, program / part)
        engine = program / "engines" / "llamacpp" / "engine.toml"
        text = engine.read_text(encoding="utf-8")
        assert text.count(f'"{OFFICIAL}"') == 1
        engine.write_text(text.replace(OFFICIAL, reference), encoding="utf-8")
        stack = replace(new_stack(folder), extra={"PYTHONPATH": str(program)})
        stack.run("init", "--project", stack.project, "--volume", stack.volume)
        yield Published(stack, reference, name)
    finally:
        docker("rm", "--force", "--volumes", name)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.TransportError):
            assert httpx.get(url).status_code == 200
            return
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.1)


def rendered(stack: Stack, folder: Path) -> str:
    stack.run("render", "--mode", "agentic", "--out", str(folder))
    return (folder / f"{stack.project}-agentic" / "compose.yaml").read_text(encoding="utf-8")


def test_what_is_locked_is_rendered_pulled_and_checked_by_its_digest(
    published: Published, tmp_path: Path
) -> None:
    stack, reference = published.stack, published.reference
    first = published.publish("first")
    assert "@sha256" not in rendered(stack, tmp_path)

    print(stack.run("images", "lock").stdout)

    pinned = f"{reference}@{first}"
    assert f'image: "{pinned}"' in rendered(stack, tmp_path)
    stack.run("render", "--check")
    print(stack.run("images", "check", expect=1).stdout)
    assert pinned in stack.run("images", "build").stdout
    assert "is here" in stack.run("images", "check").stdout
    container = docker("create", pinned, "/content").strip()
    docker("rm", container)
    row = next(each for each in stack.json("images", "ls") if each["name"] == "llamacpp-cpu")
    assert (row["origin"], row["digest"], row["present"]) == ("locked", first, True)

    second = published.publish("second")

    said = stack.run("images", "check").stdout
    print(said)
    assert f"{reference} has moved to {second}" in said
    assert pinned in rendered(stack, tmp_path)
    assert f"{second} (was {first})" in stack.run("images", "lock").stdout
    assert f"{reference}@{second}" in rendered(stack, tmp_path)
    docker("rmi", pinned)


def test_a_tag_that_is_not_there_and_a_registry_that_does_not_answer_change_nothing(
    published: Published,
) -> None:
    stack = published.stack
    published.publish("third")
    stack.run("images", "lock")
    path = stack.home / "images.lock"
    before = path.read_text(encoding="utf-8")

    docker("stop", "--time", "1", published.container)
    refused = stack.run("images", "lock", expect=1)

    print(refused.stderr)
    assert refused.stdout == ""
    assert f"no digest for {published.reference}" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 2
    assert path.read_text(encoding="utf-8") == before
    said = stack.run("images", "check", expect=1).stdout
    assert "whether tags have moved is not known" in said
    assert "is not here" in said
