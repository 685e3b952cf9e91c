"""Containers on Docker, through the guard or a socket. Only what the guard lets through is used."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus
from typing import TypeVar

import aiodocker
import aiohttp
import msgspec

from anvil_ctl.multiplexer.containers import ContainerError, ContainerState, NoSuchContainerError

_HASH_LABEL = "dev.anvil.config-hash"
_QUICK = aiohttp.ClientTimeout(total=30, connect=5)
_FAILURES = (
    aiodocker.DockerError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,
    KeyError,
)
_Result = TypeVar("_Result")


class _State(msgspec.Struct, rename="pascal"):
    running: bool
    exit_code: int
    started_at: str
    restarting: bool = False
    oom_killed: bool = msgspec.field(default=False, name="OOMKilled")


class _Config(msgspec.Struct, rename="pascal"):
    labels: dict[str, str] | None = None


class _HostConfig(msgspec.Struct, rename="pascal"):
    memory: int = 0


class _Shown(msgspec.Struct, rename="pascal"):
    state: _State
    config: _Config = msgspec.field(default_factory=_Config)
    host_config: _HostConfig = msgspec.field(default_factory=_HostConfig)


class DockerContainers:
    """Containers by name, behind a Docker API at `url` (http:// or unix://).

    An API that can't be reached is found out by the first call. The version is the daemon's own:
    none is spoken by all of 20.10 and later, and the guard lets all of theirs through.
    """

    def __init__(self, url: str) -> None:
        self._docker = aiodocker.Docker(url, timeout=_QUICK)

    async def state(self, name: str) -> ContainerState:
        """How a container stands now."""
        shown = await _told(name, self._docker.containers.container(name).show())
        try:
            inspected = msgspec.convert(shown, _Shown)
        except msgspec.ValidationError as error:
            raise ContainerError(f"{name}: Docker's answer is not understood: {error}") from error
        found, limit = inspected.state, inspected.host_config.memory
        return ContainerState(
            running=found.running and not found.restarting,
            exit_code=found.exit_code,
            run=found.started_at,
            oom_killed=found.oom_killed,
            config_hash=(inspected.config.labels or {}).get(_HASH_LABEL, ""),
            memory_limit_mib=limit >> 20 if limit else None,
        )

    async def start(self, name: str) -> None:
        """Start it; nothing happens if it runs."""
        await _told(name, self._docker.containers.container(name).start())

    async def stop(self, name: str, grace_s: float) -> None:
        """Ask it to end, and have it killed after `grace_s` seconds."""
        timeout = aiohttp.ClientTimeout(total=grace_s + 30, connect=5)
        container = self._docker.containers.container(name)
        await _told(name, container.stop(t=math.ceil(grace_s), timeout=timeout))

    async def kill(self, name: str) -> None:
        """End it at once."""
        await _told(name, self._docker.containers.container(name).kill(timeout=_QUICK))

    async def exits(self) -> AsyncIterator[str]:
        """The names of containers as they exit, until the stream breaks."""
        events = self._docker.events
        news = events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        # The guard puts its own filter in the place of this one.
        filters = '{"type":["container"],"event":["die"]}'
        reading = asyncio.create_task(events.run(filters=filters))
        try:
            while (event := await news.get()) is not None:
                if event.get("Type") == "container" and event.get("Action") == "die":
                    yield str(event.get("Actor", {}).get("Attributes", {}).get("name", ""))
            await _told("events", reading)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._docker.close()


async def _told(what: str, call: Awaitable[_Result]) -> _Result:
    """The one place where aiodocker's and aiohttp's errors become ours."""
    try:
        return await call
    except aiodocker.DockerError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise NoSuchContainerError(f"{what}: there is no such container") from error
        raise ContainerError(f"{what}: Docker answered {error.status}: {error.message}") from error
    except _FAILURES as error:
        text = str(error) or type(error).__name__
        raise ContainerError(f"{what}: no answer from Docker: {text}") from error
