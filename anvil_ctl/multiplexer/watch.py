"""Learning that a container has exited although nobody told it to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from anvil_ctl.multiplexer.containers import ContainerError, Containers

log = logging.getLogger(__name__)

_SWEEP_S = 10.0
_RECONNECT_S = 1.0


async def on_exits(containers: Containers, exited: Callable[[str], Awaitable[None]]) -> None:
    """Tell of every exit that Docker tells of, for ever."""
    while True:
        try:
            async for name in containers.exits():
                await exited(name)
            trouble = "the stream ended"
        except ContainerError as error:
            trouble = error.message
        log.info("no events from Docker: %s", trouble)
        await asyncio.sleep(_RECONNECT_S)


async def now_and_then(look: Callable[[], Awaitable[None]]) -> None:
    """What the events miss, such as an exit while their stream was down."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        await look()
