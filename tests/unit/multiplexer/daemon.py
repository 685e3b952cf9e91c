"""A Docker daemon over a socket, as far as the multiplexer uses one, and the process before it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from anvil_ctl.multiplexer.containers import ContainerState
from anvil_ctl.serving.exchange import Exchange, Handler
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.message import Request

from .fakes import FakeContainers
from .servers import Clients, FakeEngine

_PATH = re.compile(r"/v1\.44/containers/(?P<name>[^/]+)/(?P<verb>json|start|stop|kill)")
TOKEN = ("authorization", "Bearer sesame")


class Daemon:
    """Implements an App. What it was told to do goes on when whoever told it is gone."""

    def __init__(self, containers: FakeContainers) -> None:
        self.containers = containers
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = Server(self)

    async def listen(self) -> None:
        self.port = await self._server.listen("127.0.0.1", 0)

    async def close(self) -> None:
        await self._server.stop(0)

    def gate(self, _request: Request) -> Handler:
        return self.handle

    async def handle(self, request: Request, exchange: Exchange) -> None:
        found = _PATH.fullmatch(request.path)
        if request.path == "/version":
            exchange.reply(200, b'{"ApiVersion": "1.44"}')
        elif request.path == "/v1.44/events":
            await self._events(exchange)
        elif found is None or found["name"] not in self.containers.boxes:
            exchange.reply(404, b'{"message": "No such container"}')
        elif found["verb"] == "json":
            state = await self.containers.state(found["name"])
            exchange.reply(200, json.dumps(shown(state)).encode())
        else:
            task = asyncio.create_task(self._act(found["name"], found["verb"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.shield(task)
            exchange.reply(204, b"")

    async def _act(self, name: str, verb: str) -> None:
        if verb == "start":
            await self.containers.start(name)
        elif verb == "stop":
            await self.may_stop.wait()
            await self.containers.stop(name, 1)
        else:
            await self.containers.kill(name)

    async def _events(self, exchange: Exchange) -> None:
        exchange.start(200, (("content-type", "application/json"),))
        async for name in self.containers.exits():
            attributes = {"name": name}
            event = {"Type": "container", "Action": "die", "Actor": {"Attributes": attributes}}
            exchange.write(json.dumps(event).encode() + b"\n")


def shown(state: ContainerState) -> dict[str, object]:
    """A container as `inspect` shows it."""
    return {
        "State": {
            "Running": state.running,
            "ExitCode": state.exit_code,
            "StartedAt": state.run,
            "OOMKilled": state.oom_killed,
        },
        "Config": {"Labels": {"dev.anvil.config-hash": state.config_hash}},
        "HostConfig": {"Memory": (state.memory_limit_mib or 0) << 20},
    }


class Process:
    """`python -m anvil_ctl.multiplexer`, and its port."""

    def __init__(self, running: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self._running = running

    async def kill(self) -> None:
        """SIGKILL: nothing of it is tidied up."""
        await self._end(signal.SIGKILL)

    async def end(self) -> int:
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        with contextlib.suppress(ProcessLookupError):
            self._running.send_signal(number)
        return await self._running.wait()


@contextlib.asynccontextmanager
async def process(registry: Path, daemon: Daemon) -> AsyncIterator[Process]:
    """It runs while the block does, if nobody ends it before."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "anvil_ctl.multiplexer", "--registry", str(registry)),
        *("--port", "0", "--docker", f"http://127.0.0.1:{daemon.port}"),
        env={**os.environ, "ANVIL_ROUTER_TOKEN": "sesame"},
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    said = ""
    while "listens on" not in said:
        line = await running.stderr.readline()
        assert line, said
        said += line.decode()
    found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", said)
    assert found is not None
    reading = asyncio.create_task(running.stderr.read())
    made = Process(running, int(found[1]))
    try:
        yield made
    finally:
        await made.kill()
        await reading


class Site:
    """Engines a and b, a daemon, and a registry file."""

    def __init__(self, a: FakeEngine, b: FakeEngine, folder: Path, clients: Clients) -> None:
        self.engines = {"a": a, "b": b}
        self.clients = clients
        self.containers = FakeContainers("box-a", "box-b")
        self.daemon = Daemon(self.containers)
        self.file = folder / "registry.json"
        rows = [
            {"name": each.name, "tier": each.name, "role": "cpu", "container": f"box-{each.name}"}
            | {"url": each.url, "drain_timeout_s": 60}
            for each in (a, b)
        ]
        self.file.write_text(json.dumps({"version": 1, "mode": "flexibility", "models": rows}))

    async def state(self, process: Process) -> str:
        wire = await self.clients.call(process.port, "GET", "/healthz")
        roles = (await wire.json())["roles"]
        await wire.close()
        assert isinstance(roles, dict)
        return str(roles["cpu"]["state"])

    async def until(self, process: Process, state: str) -> None:
        while await self.state(process) != state:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)

    async def asked(self, process: Process, name: str) -> tuple[int, dict[str, object]]:
        body = {"model": name, "messages": []}
        wire = await self.clients.call(process.port, "POST", "/v1/chat/completions", body, TOKEN)
        return wire.status, await wire.json()
