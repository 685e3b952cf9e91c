"""Two containers of the installation's own engine and a multiplexer over them, for measuring."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiodocker
import aiohttp

from anvil_ctl import site
from anvil_ctl.config import Tier
from anvil_ctl.paths import Home
from anvil_ctl.service import MODELS, Service

SOCKET = "unix:///var/run/docker.sock"
TOKEN = "bench"  # noqa: S105 - both ends are here
ROOT = Path(__file__).resolve().parents[1]


class FailedError(Exception):
    """Something that the measurement needs did not come about."""


@dataclass(frozen=True, slots=True)
class Model:
    """One of the two: what its engine serves, in which container, and where."""

    name: str
    container: str
    url: str


async def ready(session: aiohttp.ClientSession, model: Model) -> None:
    """Until health answers 200 and the models path lists the name, asked every 5 ms."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.get(f"{model.url}/health") as health:
                if health.status == 200:
                    async with session.get(f"{model.url}/v1/models") as listed:
                        assert model.name in (await listed.text())
                        return
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def containers(docker: aiodocker.Docker, more: list[str]) -> AsyncIterator[list[Model]]:
    """Containers of flexibility's first two swapping tiers, made and removed here.

    `more` are further arguments for both engines.
    """
    found = site.load(Home.from_environ())
    tiers = [tier for tier in found.config.modes["flexibility"].enabled if tier.swap][:2]
    if len(tiers) < 2:
        raise FailedError(
            "flexibility has no two tiers that swap; anvil-ctl init --site cpu makes some"
        )
    volume = found.config.machine.models_volume
    suffix = secrets.token_hex(3)
    models: list[Model] = []
    try:
        for tier in tiers:
            service = found.renderer.service("flexibility", tier)
            name = f"anvil-bench-{suffix}-{tier.id}"
            await docker.containers.create(_described(service, tier, volume, more), name=name)
            models.append(Model(tier.served_name, name, f"http://127.0.0.1:{tier.port}"))
        yield models
    finally:
        for model in models:
            await docker.containers.container(model.container).delete(force=True)


def _described(service: Service, tier: Tier, volume: str, more: list[str]) -> dict[str, Any]:
    _host, published, inside = service.publish.rsplit(":", 2)
    return {
        "Image": service.image,
        "Entrypoint": service.entrypoint,
        "Cmd": [*service.command, *more],
        "Env": [f"{name}={value}" for name, value in service.environment.items()],
        "User": service.user or "",
        "Labels": {"dev.anvil.bench": tier.id},
        "ExposedPorts": {f"{inside}/tcp": {}},
        "HostConfig": {
            "Init": True,
            "ReadonlyRootfs": service.read_only,
            "Mounts": [
                {"Type": "volume", "Source": volume, "Target": MODELS, "ReadOnly": True},
                {"Type": "tmpfs", "Target": "/tmp"},  # noqa: S108 - in the container
            ],
            "PortBindings": {f"{inside}/tcp": [{"HostIp": "127.0.0.1", "HostPort": published}]},
        },
    }


@contextlib.asynccontextmanager
async def multiplexer(models: list[Model], folder: Path) -> AsyncIterator[str]:
    """A multiplexer process over the containers; yields its URL."""
    rows = [
        {
            "name": model.name,
            "tier": model.name,
            "role": "cpu",
            "container": model.container,
            "url": model.url,
            "stop_timeout_s": 10,
            # Longer than any answer of a busy machine: what is measured is not how one is cut.
            "drain_timeout_s": 300,
            "load_estimate_s": 3,
        }
        for model in models
    ]
    registry = folder / "registry.json"
    registry.write_text(json.dumps({"version": 1, "mode": "bench", "models": rows}))
    log = folder / "multiplexer.log"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "anvil_ctl.multiplexer", "--registry", str(registry)),
            *("--port", "0", "--docker", SOCKET),
            cwd=ROOT,
            env={**os.environ, "ANVIL_ROUTER_TOKEN": TOKEN},
            stderr=sink,
        )
    try:
        yield f"http://127.0.0.1:{await _port(process, log)}"
    finally:
        process.terminate()
        await process.wait()


async def _port(process: asyncio.subprocess.Process, log: Path) -> int:
    until, said = time.monotonic() + 20, ""
    while time.monotonic() < until and process.returncode is None:
        said = log.read_text()  # noqa: ASYNC240 - some lines
        found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", said)
        if found is not None:
            return int(found[1])
        await asyncio.sleep(0.05)
    raise FailedError(f"the multiplexer did not start: {said[-500:]}")
