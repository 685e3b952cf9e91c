"""Against a small server that answers as Docker does; tests/e2e/test_guard.py has the real one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from anvil_ctl.multiplexer.containers import ContainerError, NoSuchContainerError
from anvil_ctl.multiplexer.docker_containers import DockerContainers
from anvil_ctl.serving.exchange import Exchange, Handler
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.message import Request

STATE = {"Running": False, "ExitCode": 137, "StartedAt": "2026-07-01T10:00:00Z", "OOMKilled": True}


class FakeDocker:
    """Knows one container, `box`; `asked` is every request line that it saw."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.state: dict[str, object] = dict(STATE)
        self.events: list[object] = []
        self.server = Server(self)
        self.port = 0

    def gate(self, _request: Request) -> Handler:
        return self.handle

    async def handle(self, request: Request, exchange: Exchange) -> None:
        query = f"?{request.query}" if request.query else ""
        self.asked.append(f"{request.method} {request.path}{query} {request.body.decode()}".strip())
        if request.path == "/version":
            exchange.reply(200, b'{"ApiVersion": "1.44"}')
        elif request.path == "/v1.44/events":
            exchange.start(200, (("content-type", "application/json"),))
            for event in self.events:
                exchange.write(json.dumps(event).encode() + b"\n")
            exchange.end()
        elif "/containers/box/" not in request.path:
            exchange.reply(404, b'{"message": "No such container"}')
        elif request.path.endswith("/json"):
            exchange.reply(200, json.dumps({"State": self.state}).encode())
        elif request.path.endswith("/kill"):
            exchange.reply(409, b'{"message": "container box is not running"}')
        else:
            exchange.reply(204, b"")


@pytest.fixture
async def docker() -> AsyncIterator[FakeDocker]:
    docker = FakeDocker()
    docker.port = await docker.server.listen("127.0.0.1", 0)
    yield docker
    await docker.server.stop(0)


@pytest.fixture
async def containers(docker: FakeDocker) -> AsyncIterator[DockerContainers]:
    containers = DockerContainers(f"http://127.0.0.1:{docker.port}")
    yield containers
    await containers.close()


async def test_requests_are_spelled_as_the_guard_wants_them(
    docker: FakeDocker, containers: DockerContainers
) -> None:
    await containers.start("box")
    await containers.stop("box", 9.5)

    assert docker.asked == [
        "GET /version",
        "POST /v1.44/containers/box/start",
        "POST /v1.44/containers/box/stop?t=10",
    ]


async def test_how_a_container_ended_is_told(containers: DockerContainers) -> None:
    state = await containers.state("box")

    assert not state.running
    assert state.described() == "exited with code 137 (out of memory)"
    assert state.run == "2026-07-01T10:00:00Z"


async def test_a_container_that_docker_restarts_does_not_run(
    docker: FakeDocker, containers: DockerContainers
) -> None:
    docker.state |= {"Running": True, "Restarting": True}

    assert not (await containers.state("box")).running


async def test_a_missing_container_is_its_own_error(containers: DockerContainers) -> None:
    with pytest.raises(NoSuchContainerError, match="other: there is no such container"):
        await containers.state("other")


async def test_what_docker_refuses_is_told_with_its_words(containers: DockerContainers) -> None:
    with pytest.raises(ContainerError, match="box: Docker answered 409: container box is not"):
        await containers.kill("box")


async def test_an_answer_that_is_not_understood_is_an_error(
    docker: FakeDocker, containers: DockerContainers
) -> None:
    docker.state = {}

    with pytest.raises(ContainerError, match="box: Docker's answer is not understood"):
        await containers.state("box")


async def test_no_docker_at_all_is_an_error(docker: FakeDocker) -> None:
    await docker.server.stop(0)
    containers = DockerContainers(f"http://127.0.0.1:{docker.port}")

    with pytest.raises(ContainerError, match="box: "):
        await containers.state("box")
    with pytest.raises(ContainerError, match="events: "):
        async for _name in containers.exits():
            pass

    await containers.close()


async def test_exits_are_told_by_name_and_other_events_are_not(
    docker: FakeDocker, containers: DockerContainers
) -> None:
    named = {"Attributes": {"name": "box"}}
    docker.events = [
        {"Type": "container", "Action": "start", "Actor": named},
        {"Type": "network", "Action": "die", "Actor": named},
        {"Type": "container", "Action": "die", "Actor": named},
    ]

    assert [name async for name in containers.exits()] == ["box"]
