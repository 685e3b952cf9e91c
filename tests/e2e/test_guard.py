"""The guard, run as the product runs it, against the real daemon and real containers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from anvil_ctl.multiplexer.containers import ContainerError
from anvil_ctl.multiplexer.docker_containers import DockerContainers
from anvil_ctl.proc import ProcessError
from tests.e2e.guarded import Answer, Bench, docker, standing, state
from tests.e2e.trespasses import refused


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with standing(tmp_path_factory.mktemp("guard")) as found:
        yield found


def test_ping_and_version_pass(bench: Bench) -> None:
    assert bench.ask("GET", "/_ping") == Answer(200, "OK")
    assert "ApiVersion" in json.loads(bench.ask("GET", "/version").body)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?all=1",
        "?all=1&filters=%7B%22label%22%3A%5B%22dev.anvil.project%22%5D%7D",
        "?filters=%7B%7D&filters=%7B%22name%22%3A%5B%22stranger%22%5D%7D&limit=50",
    ],
)
def test_the_list_shows_only_the_projects_own_containers_whatever_is_asked(
    bench: Bench, query: str
) -> None:
    answer = bench.ask("GET", f"/v1.41/containers/json{query}")

    assert answer.status == 200
    names = {name.lstrip("/") for row in json.loads(answer.body) for name in row["Names"]}
    assert names == {bench.listed, bench.sibling}


def test_a_listed_container_is_inspected_stopped_killed_and_started(bench: Bench) -> None:
    path = f"/v1.41/containers/{bench.listed}"

    assert json.loads(bench.ask("GET", f"{path}/json").body)["Name"] == f"/{bench.listed}"
    assert bench.ask("POST", f"{path}/stop?t=2", "Content-Length: 0").status == 204
    assert state(bench.listed) == "exited"
    assert bench.ask("POST", f"{path}/start").status == 204
    assert state(bench.listed) == "running"
    assert bench.ask("POST", f"{path}/kill?signal=SIGKILL").status == 204
    docker("wait", bench.listed)
    assert state(bench.listed) == "exited"
    assert bench.ask("POST", f"{path}/start").status == 204


def test_events_stream_the_projects_containers_and_nobody_elses(bench: Bench) -> None:
    with bench.connect() as wire:
        wire.sendall(b"GET /v1.41/events?filters=%7B%7D HTTP/1.1\r\nHost: guard\r\n\r\n")
        head = wire.recv(65536)
        assert head.startswith(b"HTTP/1.1 200")
        docker("kill", "--signal", "WINCH", bench.stranger)
        docker("kill", "--signal", "WINCH", bench.sibling)
        seen = head
        while bench.sibling.encode() not in seen:
            chunk = wire.recv(65536)
            assert chunk, "the stream ended before the sibling's event"
            seen += chunk

    assert bench.stranger.encode() not in seen


async def test_the_multiplexers_own_client_gets_all_that_it_needs(bench: Bench) -> None:
    containers = DockerContainers(f"http://127.0.0.1:{bench.port}")
    try:
        await containers.start(bench.listed)
        before = await containers.state(bench.listed)
        assert before.running
        exits = aiter(containers.exits())
        first = asyncio.ensure_future(anext(exits))
        # Nothing says when the stream is open, so exits are made until one is reported.
        while not first.done():
            await containers.start(bench.listed)
            await containers.kill(bench.listed)
            await asyncio.wait([first], timeout=0.2)
        assert await first == bench.listed
        await exits.aclose()  # type: ignore[attr-defined]
        after = await containers.state(bench.listed)
        assert (after.running, after.exit_code) == (False, 137)
        await containers.start(bench.listed)
        assert (await containers.state(bench.listed)).run != before.run
        await containers.stop(bench.listed, 1)
        assert not (await containers.state(bench.listed)).running
        with pytest.raises(ContainerError, match="Docker answered 403"):
            await containers.stop(bench.sibling, 1)
    finally:
        await containers.close()
        docker("start", bench.listed)


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"), refused(), ids=lambda part: str(part)[:60]
)
def test_everything_else_is_refused(
    bench: Bench, method: str, target: str, headers: tuple[str, ...], body: str
) -> None:
    fields = {
        "listed": bench.listed,
        "LISTED": bench.listed.upper(),
        "sibling": bench.sibling,
        "stranger": bench.stranger,
        "stranger_id": bench.stranger_id,
        "short_id": bench.stranger_id[:12],
        "listed_id": bench.listed_id,
        "project": bench.project,
    }

    answer = bench.ask(
        method, target.format(**fields), *headers, body=body.replace("{project}", bench.project)
    )

    assert answer.status == 403
    if method not in ("HEAD", "CONNECT"):
        assert json.loads(answer.body) == {"message": "the guard refuses this request"}


def test_nothing_that_was_refused_left_a_trace(bench: Bench) -> None:
    assert state(bench.stranger) == "running"
    assert state(bench.sibling) == "running"
    assert state(bench.listed) == "running"
    assert docker("ps", "-aq", "--filter", f"name={bench.project}-made") == ""
    assert docker("images", "-q", bench.project) == ""
    assert docker("volume", "ls", "-q", "--filter", f"name={bench.project}") == ""
    assert docker("network", "ls", "-q", "--filter", f"name={bench.project}") == ""


def test_two_requests_on_one_connection_are_judged_apart(bench: Bench) -> None:
    refused_second = (
        b"GET /_ping HTTP/1.1\r\nHost: guard\r\n\r\n"
        b"GET /v1.41/images/json HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n\r\n"
    )
    with bench.connect() as wire:
        wire.sendall(refused_second)
        data = b""
        while chunk := wire.recv(65536):
            data += chunk

    assert data.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 403" in data


def test_an_http2_preface_is_not_taken_up(bench: Bench) -> None:
    with bench.connect() as wire:
        wire.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        answer = wire.recv(65536)

    assert not answer or answer.startswith(b"HTTP/1.1 4")


def test_a_guard_without_a_list_permits_no_container(bench: Bench) -> None:
    """The image's own list is empty, so a forgotten mount closes the guard."""
    image = docker("inspect", "--format", "{{.Config.Image}}", bench.guard)

    shipped = docker("run", "--rm", "--entrypoint", "cat", image, "/etc/anvil/guard/containers.lst")

    assert all(line.startswith("#") for line in shipped.splitlines())


def test_a_guard_without_a_project_does_not_start(bench: Bench) -> None:
    image = docker("inspect", "--format", "{{.Config.Image}}", bench.guard)

    with pytest.raises(ProcessError) as refusal:
        docker("run", "--rm", image)

    assert "ANVIL_PROJECT" in refusal.value.output
