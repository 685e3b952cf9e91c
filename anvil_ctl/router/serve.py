"""The router as a process: reads its file and its secrets, builds everything, listens."""

from __future__ import annotations

import functools
import logging
import os
import ssl
from pathlib import Path

from anvil_ctl.errors import ConfigError
from anvil_ctl.router import config as configs
from anvil_ctl.router.app import Router
from anvil_ctl.router.config import Config
from anvil_ctl.router.refuse import envelope
from anvil_ctl.serving import access, kept, logs, process
from anvil_ctl.serving.admin import ADMIN_TOKEN_ENV, Admin
from anvil_ctl.serving.auth import Auth, token_from_env
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.message import Limits
from anvil_ctl.serving.process import Listener, Running
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.trust import trusting

log = logging.getLogger(__name__)

_MAX_CONCURRENCY = 64


def main(config: Path, host: str, port: int, admin_host: str, admin_port: int) -> int:
    """Serve until told to stop; returns the exit code. Raises AnvilError before it listens."""
    logs.set_up()
    loaded = _load(config)
    auth = Auth(token_from_env(loaded.auth_env) if loaded.auth_env else None)
    admin_token = os.environ.get(ADMIN_TOKEN_ENV, "").strip()
    limits = _limits(loaded)
    most = _int_env("ANVIL_MAX_CONCURRENCY") or loaded.max_concurrency or _MAX_CONCURRENCY

    async def build() -> Running:
        pool, hold = Pool(tls=_trust(loaded)), Hold()
        kept.resume(hold, config.parent / "hold.json")
        lines = access.to_stderr()
        load = functools.partial(_load, config)
        router = Router(loaded, load, pool=pool, hold=hold, max_concurrency=most, logs=[lines])
        over = router.finished
        data = Server(router.app(auth), limits=limits, envelope=envelope, finished=over)
        listeners = [Listener("router", data, host, port, guarded=auth.on)]

        async def sever() -> dict[str, object]:
            return {"severed": data.sever(hold.waiters)}

        if admin_token:
            routes, actions = router.admin_routes(), {"sever": sever}
            app = Admin(router, hold, actions=actions, routes=routes).app(admin_token)
            server = Server(app, finished=over)
            listeners.append(Listener("router admin", server, admin_host, admin_port))
        else:
            log.warning("no admin API: %s is unset", ADMIN_TOKEN_ENV)

        async def close() -> None:
            await pool.close()
            await router.close()

        return Running(listeners, close=close, reload=router.reload)

    return process.run(build)


def _load(path: Path) -> Config:
    config = configs.load(path)
    for warning in config.warnings:
        log.warning("%s", warning)
    return config


def _trust(config: Config) -> ssl.SSLContext | None:
    """The certificates of `ca_file` besides the public ones; None where there is no such file.

    Without it some clouds can't be reached; that is no reason to refuse what is local.
    """
    if config.ca_file is None:
        return None
    path = Path(config.file).parent / Path(config.ca_file).expanduser()
    try:
        return trusting(path)
    except OSError as error:
        log.warning("ca_file %s is not used: %s", path, error.strerror or error)
        return None


def _limits(config: Config) -> Limits:
    default = Limits()
    return Limits(
        max_body=_int_env("ANVIL_MAX_BODY_BYTES") or config.max_body or default.max_body,
        idle_s=config.idle_s or default.idle_s,
        read_s=config.read_s or default.read_s,
        backlog=config.backlog or default.backlog,
    )


def _int_env(name: str) -> int | None:
    value = os.environ.get(name, "").strip()
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise ConfigError(
            f"{name} = {value!r}: it must be a whole number above 0", hint=f"unset {name}"
        )
    return int(value)
