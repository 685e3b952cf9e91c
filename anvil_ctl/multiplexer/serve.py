"""The multiplexer as a process: reads its registry and its secrets, builds everything, listens."""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
from pathlib import Path

import aiohttp

from anvil_ctl.errors import ConfigError
from anvil_ctl.multiplexer import registry as registries
from anvil_ctl.multiplexer.app import Multiplexer, envelope
from anvil_ctl.multiplexer.docker_containers import DockerContainers
from anvil_ctl.multiplexer.engines import Engines
from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.parking import Parking
from anvil_ctl.multiplexer.probe import HttpProbe
from anvil_ctl.multiplexer.standing import Standing
from anvil_ctl.serving import logs, process
from anvil_ctl.serving.access import log_access
from anvil_ctl.serving.admin import ADMIN_TOKEN_ENV, Admin
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.process import Listener, Running
from anvil_ctl.upstream.client import Pool

log = logging.getLogger(__name__)

TOKEN_ENV = "ANVIL_ROUTER_TOKEN"  # noqa: S105 - the variable's name, not its value
DOCKER_ENV = "ANVIL_DOCKER"
DEFAULT_DOCKER = "http://guard:2375"
# Less than the grace that Compose gives, so that streams end before the kill.
_GRACE_S = 30.0


def main(  # noqa: PLR0917 - called with the command line's values, in its order
    registry: Path,
    host: str,
    port: int,
    admin_host: str,
    admin_port: int,
    docker: str,
    state: Path | None = None,
) -> int:
    """Serve until told to stop; returns the exit code. Raises AnvilError before it listens.

    Containers are left as they are at the end: the next start adopts them. `state` is a file for
    what was found out of ways to park.
    """
    loaded = registries.load(registry)
    token = os.environ.get(TOKEN_ENV, "").strip() or None
    if token is None and not _is_loopback(host):
        raise ConfigError(
            f"{TOKEN_ENV} is unset, and {host} is open to others",
            hint=f"set {TOKEN_ENV}, or listen on 127.0.0.1",
        )
    logs.set_up()
    auth, admin_token = Auth(token), os.environ.get(ADMIN_TOKEN_ENV, "").strip()

    async def build() -> Running:
        containers, probe, pool, hold = DockerContainers(docker), HttpProbe(), Pool(), Hold()
        session = aiohttp.ClientSession(trust_env=False)
        parking = Parking(session, Standing(state))
        loop = Loop(loaded, containers, Engines(containers, probe, parking))
        load = functools.partial(registries.load, registry)
        multiplexer = Multiplexer(loop, load, pool=pool, hold=hold)
        data = Server(multiplexer.app(auth), envelope=envelope, finished=log_access)
        listeners = [Listener("multiplexer", data, host, port, guarded=auth.on)]
        if admin_token:
            admin = Admin(multiplexer, hold, actions={"stop-all": multiplexer.stop_all})
            server = Server(admin.app(admin_token), finished=log_access)
            listeners.append(Listener("multiplexer admin", server, admin_host, admin_port))
        else:
            log.warning("no admin API: %s is unset", ADMIN_TOKEN_ENV)

        async def close() -> None:
            await loop.aclose()
            await pool.close()
            await probe.close()
            await session.close()
            await containers.close()

        await loop.open()
        return Running(listeners, close=close, reload=multiplexer.reload)

    return process.run(build, grace_s=_GRACE_S)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
