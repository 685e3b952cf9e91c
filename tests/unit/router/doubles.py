"""A router in front of scripted engines and multiplexers, all on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl.router import config as configs
from anvil_ctl.router.app import Router
from anvil_ctl.router.refuse import envelope
from anvil_ctl.serving.access import log_access
from anvil_ctl.serving.admin import Admin
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.http import Server
from anvil_ctl.serving.message import Limits
from anvil_ctl.upstream.client import Pool
from tests.double.events import answers, anthropic_events, openai_events, streams
from tests.double.server import Answer, Double, Script, Seen, double

__all__ = [
    "ADMIN",
    "TOKEN",
    "Answer",
    "Double",
    "Edit",
    "Running",
    "Script",
    "Seen",
    "answers",
    "anthropic_events",
    "config",
    "double",
    "openai_events",
    "router",
    "streams",
    "tier",
]

TOKEN = "router-token"
ADMIN = "admin-token"

Edit = Callable[[str], str]


@dataclass
class Running:
    """A router that listens."""

    url: str
    port: int
    admin: str
    router: Router
    hold: Hold
    pool: Pool
    file: Path


@contextlib.asynccontextmanager
async def router(
    file: Path, text: str, *, max_concurrency: int = 64, limits: Limits | None = None
) -> AsyncIterator[Running]:
    await asyncio.to_thread(file.write_text, text)
    pool, hold = Pool(), Hold()
    made = Router(
        configs.load(file),
        lambda: configs.load(file),
        pool=pool,
        hold=hold,
        max_concurrency=max_concurrency,
    )

    def finished(exchange: Exchange) -> None:
        log_access(exchange)
        made.finished(exchange)

    data = Server(made.app(Auth(TOKEN)), limits=limits, envelope=envelope, finished=finished)
    admin = Server(Admin(made, hold, routes=made.admin_routes()).app(ADMIN))
    port = await data.listen("127.0.0.1", 0)
    admin_port = await admin.listen("127.0.0.1", 0)
    admin_url = f"http://127.0.0.1:{admin_port}"
    try:
        yield Running(f"http://127.0.0.1:{port}", port, admin_url, made, hold, pool, file)
    finally:
        await data.stop(0.1)
        await admin.stop(0.1)
        await pool.close()
        await made.close()


def tier(tier_id: str, url: str, dialect: str = "openai", **more: object) -> str:
    """A tier's table, with further keys as TOML-compatible JSON values."""
    keys: dict[str, object] = {
        "id": tier_id,
        "base_url": url,
        "dialect": dialect,
        "context_limit": 8192,
        "privacy": "local",
        "tool_support": True,
        "vision": True,
        "auth_env": "TIER_KEY",
        "model": f"{tier_id}-model",
        **more,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[[router.tiers]]", *lines, ""])


def config(
    *tiers: str,
    presets: str = "",
    router_keys: str = "",
    multiplexer: str = "",
    verify: str = "off",
) -> str:
    """A router's file. Answers are sent on as they come, unless `verify` is "cascade"; nobody asks
    what is loaded."""
    policy = (
        ""
        if "[router.policy]" in router_keys
        else f'[router.policy]\nverify = "{verify}"\nresidency = false\n'
    )
    lease = f'[router.multiplexer]\nurl = "{multiplexer}"\ntoken_env = "MUX_TOKEN"\n'
    return "\n".join(
        [
            '[router]\nmapping_version = "1"\nmode = "agentic"\n' + router_keys,
            *tiers,
            f"[router.presets]\n{presets}",
            policy,
            lease if multiplexer else "",
        ]
    )
