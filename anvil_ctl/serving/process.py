"""A server process: listen, serve until told to stop, finish what is under way, exit."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from anvil_ctl.errors import AnvilError
from anvil_ctl.serving import descriptors
from anvil_ctl.serving.http import Server

log = logging.getLogger(__name__)


class Listener(msgspec.Struct, frozen=True):
    """One server and where it listens. `guarded`: it asks for a credential."""

    name: str
    server: Server
    host: str
    port: int
    guarded: bool = True


async def _nothing() -> None:
    pass


class Running(msgspec.Struct, frozen=True):
    """What a process runs. `close` is awaited after the listeners have stopped."""

    listeners: Sequence[Listener]
    close: Callable[[], Awaitable[None]] = _nothing
    reload: Callable[[], Awaitable[None]] = _nothing


Build = Callable[[], Awaitable[Running]]


def run(build: Build, *, grace_s: float = 20.0) -> int:
    """Serve what `build` returns (called on the event loop) until SIGTERM or SIGINT; exit code 0.

    SIGHUP reloads. On the first stop signal nothing new is accepted and answers have `grace_s`
    seconds to finish; the second one cuts them. Raises AnvilError if a port can't be had.
    """
    descriptors.raise_limit()
    try:
        import uvloop  # noqa: PLC0415 - optional: asyncio's own loop serves as well, a little slower
    except ImportError:
        return asyncio.run(_serve(build, grace_s))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(build, grace_s))


async def _serve(build: Build, grace_s: float) -> int:
    running = await build()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(running.reload))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    def halt() -> None:
        if stop.is_set():
            for listener in running.listeners:
                listener.server.cut()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, halt)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        for listener in running.listeners:
            await _listen(listener)
        settle()
        await stop.wait()
        log.info("stopping: nothing new is accepted, answers under way have %.0f s", grace_s)
    finally:
        async with asyncio.TaskGroup() as stopping:
            for listener in running.listeners:
                stopping.create_task(listener.server.stop(grace_s))
        await running.close()
    return 0


def settle() -> None:
    """What was built to start with stays: collecting took 7 % of the busy core's samples (perf)."""
    gc.collect()
    gc.freeze()
    # A larger threshold is a little faster and may hold more memory in a flood of chunks.
    gc.set_threshold(10_000, 20, 20)


async def _reload(reload: Callable[[], Awaitable[None]]) -> None:
    try:
        await reload()
    except AnvilError as error:
        log.error("not reloaded: %s", error.message)  # noqa: TRY400 - the trace says nothing more


async def _listen(listener: Listener) -> None:
    try:
        port = await listener.server.listen(listener.host, listener.port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise AnvilError(
            f"cannot listen on {listener.host}:{listener.port} for {listener.name}: "
            + ("the port is taken" if taken else str(error.strerror or error)),
            hint="choose another port, or stop what listens there",
        ) from error
    log.info("%s listens on http://%s:%d", listener.name, listener.host, port)
    _warn_if_public(listener)


def _warn_if_public(listener: Listener) -> None:
    if _is_loopback(listener.host):
        return
    if listener.guarded:
        log.warning("%s listens on %s: its token is the only gate", listener.name, listener.host)
    else:
        log.warning(
            "%s listens on %s WITHOUT authentication: whoever reaches it uses its models and the "
            "credentials of its tiers; set [server] auth_env",
            listener.name,
            listener.host,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
