"""A multiplexer over real sockets, with engines that are real servers and pretended containers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from anvil_ctl.errors import ConfigError
from anvil_ctl.multiplexer.app import Multiplexer, envelope
from anvil_ctl.multiplexer.engines import Engines
from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.probe import HttpProbe
from anvil_ctl.multiplexer.registry import Registry
from anvil_ctl.serving.access import log_access
from anvil_ctl.serving.admin import Admin
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.upstream.client import Pool

from .fakes import FakeContainers, registry, row
from .servers import Clients, FakeEngine, Wire

TOKEN = ("authorization", "Bearer sesame")
ADMIN = ("authorization", "Bearer admin")


class Rig:
    """Engines a and b behind a multiplexer, with its data port and its admin port."""

    def __init__(self, a: FakeEngine, b: FakeEngine, clients: Clients) -> None:
        self.a, self.b, self.clients = a, b, clients
        self.containers = FakeContainers("box-a", "box-b")
        self.probe = HttpProbe()
        self.registry: Registry | ConfigError = registry(row("a", url=a.url), row("b", url=b.url))
        self.loop = Loop(
            self.registry, self.containers, Engines(self.containers, self.probe, poll_s=0.001)
        )
        self.pool, self.hold = Pool(), Hold()
        self.multiplexer = Multiplexer(self.loop, self._load, pool=self.pool, hold=self.hold)
        app = self.multiplexer.app(Auth("sesame"))
        self.data = Server(app, envelope=envelope, finished=log_access)
        admin = Admin(self.multiplexer, self.hold, actions={"stop-all": self.multiplexer.stop_all})
        self.admin = Server(admin.app("admin"))
        self.port = self.admin_port = 0

    def _load(self) -> Registry:
        if isinstance(self.registry, ConfigError):
            raise self.registry
        return self.registry

    async def open(self) -> None:
        await self.loop.open()
        self.port = await self.data.listen("127.0.0.1", 0)
        self.admin_port = await self.admin.listen("127.0.0.1", 0)

    async def close(self) -> None:
        await self.data.stop(0)
        await self.admin.stop(0)
        await self.loop.aclose()
        await self.pool.close()
        await self.probe.close()

    async def post(self, path: str, body: object) -> Wire:
        return await self.clients.call(self.port, "POST", path, body, TOKEN)

    async def lease(self, model: str) -> Wire:
        return await self.post("/v1/lease", {"model": model})

    async def order(self, verb: str, body: object = None) -> dict[str, object]:
        wire = await self.clients.call(self.admin_port, "POST", f"/admin/{verb}", body or {}, ADMIN)
        assert wire.status == 200, await wire.body()
        said = await wire.json()
        await wire.close()
        return said

    async def health(self) -> dict[str, object]:
        wire = await self.clients.call(self.port, "GET", "/healthz")
        said = await wire.json()
        await wire.close()
        return said


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until something holds; the test's own timeout is the limit."""
    while not true():  # noqa: ASYNC110 - there is no event for the absence of something
        await asyncio.sleep(0)
