"""The guard, run as the product runs it, against the real daemon and real containers."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anvil_ctl import images
from anvil_ctl.docker import Docker
from anvil_ctl.events import silent
from anvil_ctl.history import History
from anvil_ctl.multiplexer.containers import ContainerError
from anvil_ctl.multiplexer.docker_containers import DockerContainers
from anvil_ctl.paths import PACKAGE, bundle
from anvil_ctl.proc import ProcessError, run

DOCKER_SOCKET = Path("/var/run/docker.sock")
BASE = "debian:trixie-slim"
WEBSOCKET = (
    "Upgrade: websocket",
    "Connection: keep-alive, upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@dataclass(frozen=True)
class Answer:
    status: int
    body: str


@dataclass(frozen=True)
class Bench:
    """A guard for project `project`, one container it lists, and containers it must not touch.

    `sibling` carries the project's own label but is not on the list; `stranger` is another
    project's.
    """

    port: int
    guard: str
    project: str
    listed: str
    sibling: str
    stranger: str
    stranger_id: str
    listed_id: str

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, method: str, target: str, *headers: str, body: str = "") -> Answer:
        """Send one request byte for byte, with no client library to tidy the path."""
        lines = [f"{method} {target} HTTP/1.1", "Host: guard", "Connection: close"]
        if any(line.lower().startswith("connection:") for line in headers):
            lines.pop()
        if body and not any("chunked" in line for line in headers):
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += headers
        with self.connect() as wire:
            wire.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            return read_answer(wire)


def read_answer(wire: socket.socket) -> Answer:
    data = b""
    while chunk := wire.recv(65536):
        data += chunk
        head, end, rest = data.partition(b"\r\n\r\n")
        # A refused upgrade keeps its connection open; its length says where it ends.
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            None,
        )
        if end and length is not None and len(rest) >= length:
            break
    head, _, rest = data.partition(b"\r\n\r\n")
    body = rest
    if b"transfer-encoding: chunked" in head.lower():
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return Answer(int(head.split(b" ")[1]), body.decode())


def docker(*argv: str) -> str:
    return run(["docker", *argv]).strip()


def state(container: str) -> str:
    return docker("inspect", "--format", "{{.State.Status}}", container)


def sleeper(name: str, project: str) -> str:
    label = f"dev.anvil.project={project}"
    return docker("run", "-d", "--init", "--name", name, "--label", label, BASE, "sleep", "900")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    mark = uuid.uuid4().hex[:8]
    project = f"guardtest-{mark}"
    names = {role: f"{project}-{role}" for role in ("listed", "sibling", "stranger", "guard")}
    folder = tmp_path_factory.mktemp("guard")
    names_file = folder / "containers.lst"
    names_file.write_text(f"{names['listed']}\n{names['listed'][:-3]}\ndeadbeef\n")
    names_file.chmod(0o644)
    # Our own build, because it makes the base too where no registry gives it.
    guard = images.catalog(bundle(), PACKAGE)["guard"]
    image = images.build(Docker(), guard, silent, History(folder / "durations.json"))
    try:
        listed_id = sleeper(names["listed"], project)
        sleeper(names["sibling"], project)
        stranger_id = sleeper(names["stranger"], f"other-{mark}")
        # fmt: off
        docker(
            "run", "-d", "--name", names["guard"], "--read-only", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "--user", "65532:65532",
            "--group-add", str(DOCKER_SOCKET.stat().st_gid), "--tmpfs", "/tmp", "--tmpfs", "/run",
            "-v", f"{DOCKER_SOCKET}:{DOCKER_SOCKET}", "-e", f"ANVIL_PROJECT={project}",
            "-v", f"{names_file}:/etc/anvil/guard/containers.lst:ro",
            "-p", "127.0.0.1::2375", image,
        )
        # fmt: on
        port = int(docker("port", names["guard"], "2375/tcp").rpartition(":")[2])
        # Blocks until the image's own health check passes once, so the guard listens by then.
        docker(
            "exec", names["guard"], "bash", "-c",
            "for i in {1..100}; do healthcheck 2>/dev/null && exit; sleep 0.1; done; exit 1",
        )  # fmt: skip
        yield Bench(
            port,
            names["guard"],
            project,
            names["listed"],
            names["sibling"],
            names["stranger"],
            stranger_id,
            listed_id,
        )
    finally:
        for name in names.values():
            try:
                docker("rm", "-f", name)
            except ProcessError:
                continue


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


def refused() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Requests that must not pass; {listed}, {stranger}, ... are filled in per bench."""
    api = "/v1.41"
    mine = f"{api}/containers/{{listed}}"
    create = json.dumps({"Image": BASE, "HostConfig": {"Binds": ["/:/host"], "Privileged": True}})
    execute = json.dumps({"Cmd": ["id"], "AttachStdout": True})
    plain = [
        ("POST", f"{api}/containers/create?name={{project}}-made", (), create),
        ("POST", f"{mine}/exec", (), execute),
        ("POST", f"{api}/exec/{{stranger_id}}/start", (), "{}"),
        ("POST", f"{mine}/attach?stream=1&stdout=1", (), ""),
        ("GET", f"{mine}/attach/ws", (), ""),
        ("GET", f"{mine}/logs?stdout=1", (), ""),
        ("GET", f"{mine}/archive?path=/etc", (), ""),
        ("PUT", f"{mine}/archive?path=/etc", (), "x"),
        ("HEAD", f"{mine}/archive?path=/etc", (), ""),
        ("GET", f"{mine}/export", (), ""),
        ("GET", f"{mine}/top", (), ""),
        ("GET", f"{mine}/stats", (), ""),
        ("GET", f"{mine}/changes", (), ""),
        ("POST", f"{mine}/update", (), json.dumps({"Memory": 1 << 30})),
        ("POST", f"{mine}/rename?name={{project}}-renamed", (), ""),
        ("POST", f"{mine}/restart", (), ""),
        ("POST", f"{mine}/pause", (), ""),
        ("POST", f"{mine}/unpause", (), ""),
        ("POST", f"{mine}/wait", (), ""),
        ("POST", f"{mine}/resize?h=1&w=1", (), ""),
        ("DELETE", f"{mine}?force=1", (), ""),
        ("DELETE", mine, (), ""),
        ("POST", f"{api}/containers/prune", (), ""),
        ("POST", f"{api}/commit?container={{listed}}&repo={{project}}", (), "{}"),
        ("POST", f"{api}/images/create?fromImage=busybox&tag=latest", (), ""),
        ("POST", f"{api}/build?remote=http://127.0.0.1/x", (), ""),
        ("GET", f"{api}/images/json", (), ""),
        ("DELETE", f"{api}/images/debian:trixie-slim", (), ""),
        ("POST", f"{api}/images/prune", (), ""),
        ("GET", f"{api}/volumes", (), ""),
        ("POST", f"{api}/volumes/create", (), json.dumps({"Name": "{project}-volume"})),
        ("POST", f"{api}/volumes/prune", (), ""),
        ("GET", f"{api}/networks", (), ""),
        ("POST", f"{api}/networks/create", (), json.dumps({"Name": "{project}-network"})),
        ("POST", f"{api}/networks/prune", (), ""),
        ("POST", f"{api}/swarm/init", (), json.dumps({"ListenAddr": "127.0.0.1:2377"})),
        ("GET", f"{api}/secrets", (), ""),
        ("GET", f"{api}/plugins", (), ""),
        ("GET", f"{api}/info", (), ""),
        ("GET", f"{api}/system/df", (), ""),
        ("POST", f"{api}/system/prune", (), ""),
        ("POST", f"{api}/auth", (), "{}"),
        ("POST", f"{api}/session", ("Upgrade: h2c", "Connection: Upgrade"), ""),
        ("POST", "/grpc", ("Upgrade: h2c", "Connection: Upgrade"), ""),
    ]
    others = [
        (method, f"{api}/containers/{who}{verb}", (), "")
        for who in ("{sibling}", "{stranger}", "{stranger_id}", "{short_id}", "{listed_id}")
        for method, verb in (("GET", "/json"), ("POST", "/stop?t=0"), ("POST", "/kill"))
    ]
    tricks = [
        ("GET", f"{api}/containers/%2e%2e/images/json", (), ""),
        ("GET", f"{api}/containers/{{listed}}/../../images/json", (), ""),
        ("GET", f"{api}/../v1.41/images/json", (), ""),
        ("GET", f"/{api}/containers/{{listed}}/json", (), ""),
        ("GET", f"{api}//containers/{{listed}}/json", (), ""),
        ("GET", f"{api}/containers//{{listed}}/json", (), ""),
        ("GET", f"{api}/containers/{{listed}}/json/", (), ""),
        ("GET", f"{api}/containers/{{listed}}%2fjson", (), ""),
        ("GET", f"{api}/containers/{{listed}}%2f..%2f{{stranger}}/json", (), ""),
        ("POST", f"{api}/containers/{{stranger}}%2fstop", (), ""),
        ("GET", f"{api}/containers/%73tranger/json", (), ""),
        ("GET", f"{api}/Containers/{{listed}}/json", (), ""),
        ("GET", f"{api}/containers/{{LISTED}}/json", (), ""),
        ("GET", f"{api}/containers/{{listed}};x/json", (), ""),
        ("GET", f"{api}/containers/{{listed}}/json?size=1", (), ""),
        ("GET", "/V1.41/containers/{listed}/json", (), ""),
        ("GET", "/v1.24/containers/{listed}/json", (), ""),
        ("GET", "/v1.410/containers/{listed}/json", (), ""),
        ("GET", "/v2/containers/{listed}/json", (), ""),
        ("GET", "/containers/{listed}/json", (), ""),
        ("GET", "/containers/json", (), ""),
        ("GET", "/events", (), ""),
        ("GET", "http://guard/v1.41/containers/json", (), ""),
        ("get", f"{api}/containers/json", (), ""),
        ("POST", f"{api}/containers/json", (), ""),
        ("POST", f"{mine}/json", (), ""),
        ("GET", f"{mine}/stop", (), ""),
        ("POST", f"{mine}/stop?t=1&signal=SIGSTOP", (), ""),
        ("POST", f"{mine}/stop?t=-1", (), ""),
        ("POST", f"{mine}/kill?signal=SIGSTOP", (), ""),
        ("POST", f"{mine}/start?checkpoint=x", (), ""),
        ("POST", f"{mine}/start", (), json.dumps({"Binds": ["/:/host"]})),
        ("POST", f"{mine}/start", ("Transfer-Encoding: chunked",), "0\r\n\r\n"),
        ("POST", f"{mine}/stop", ("Upgrade: tcp", "Connection: Upgrade"), ""),
        ("GET", f"{api}/events", WEBSOCKET, ""),
        ("GET", "/_ping", ("Upgrade: tcp",), ""),
        ("GET", f"{api}/containers/deadbeef/json", (), ""),
        ("OPTIONS", "*", (), ""),
        ("CONNECT", "guard:80", (), ""),
    ]
    return plain + others + tricks


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
