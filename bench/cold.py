"""What a request and a piece cost in the process when the processor's caches have forgotten them.

As `bench.hop`, but for one request at a time, with a block of memory copied between any two steps
of it: 4 MiB take the place of what a core's own caches hold, 64 MiB also of what cores share. Run
as `python -m bench.cold [KIND ...] [--evict MIB]`; microseconds, medians.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

import uvloop

from anvil_ctl.serving import process
from anvil_ctl.serving.connection import Connection
from anvil_ctl.serving.http import Server
from bench import hop
from bench.configs import TOKEN

KINDS = ("stream", "translated-stream", "small", "translated")
# From a request's first byte to the engine's; from its answer's to the client's; each further
# piece; the last one with all that ends the stream; and what is left to do then.
STEPS = ("ask", "first", "piece", "last", "after")
_WARM = 40
_CLIENTS = 8
_PIECES = 5


class Rig:
    """A router between transports that only hand bytes over, and the memory that is copied."""

    def __init__(self, evict_mib: float) -> None:
        size = max(1, int(evict_mib * (1 << 19)))
        self._from, self._to = os.urandom(size), bytearray(size)
        self.asked: tuple[asyncio.Protocol, bytes] | None = None
        self.wrote_at: list[int] = []
        self.took: defaultdict[str, list[float]] = defaultdict(list)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], *_where: object, **_how: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """In the place of the event loop's `create_connection`."""
        protocol = factory()

        def take(data: bytes) -> None:
            self.asked = (protocol, data)

        transport = hop.Transport(take)
        protocol.connection_made(transport)
        return transport, protocol

    def client(self, server: Server) -> Connection:
        """A client's connection; when it was written to is noted."""
        connection = Connection(server)
        connection.connection_made(
            hop.Transport(lambda _data: self.wrote_at.append(time.perf_counter_ns()))
        )
        return connection

    async def step(self, name: str, give: Callable[[], None], done: Callable[[], object]) -> None:
        """Forget, do one step, and note how long it took until it was done."""
        await _turns(2)
        memoryview(self._to)[:] = self._from
        began = time.perf_counter_ns()
        give()
        await _turns(50, done)
        self.took[name].append((time.perf_counter_ns() - began) / 1000)

    async def request(self, client: Connection, request: bytes, engine: hop.Engine) -> None:
        """One request, from its first byte to the last thing that is done about it."""
        self.asked = None
        await self.step("ask", lambda: client.data_received(request), lambda: self.asked)
        assert self.asked is not None
        protocol, data = self.asked
        reads = engine.answer(data)
        *pieces, last = [*reads[: _PIECES + 1], b"".join(reads[-3:])] if len(reads) > 3 else reads
        for number, piece in enumerate(pieces):
            self.wrote_at.clear()
            name = "piece" if number else "first"
            give = functools.partial(protocol.data_received, piece)
            await self.step(name, give, lambda: self.wrote_at)
        self.wrote_at.clear()
        await self.step("last", lambda: protocol.data_received(last), lambda: self.wrote_at)
        began = time.perf_counter_ns()
        await _turns(5)
        self.took["after"].append((time.perf_counter_ns() - began) / 1000)


async def _turns(most: int, done: Callable[[], object] = lambda: False) -> None:
    """Let the event loop turn until it is done, and so many times at most."""
    for _ in range(most):
        if done():
            return
        await asyncio.sleep(0)


async def _measure(kind: str, evict_mib: float, times: int) -> dict[str, float]:
    rig, engine = Rig(evict_mib), hop.Engine(asyncio.get_running_loop())
    router, server = hop.routed(rig.connect)
    clients = [rig.client(server) for _ in range(_CLIENTS)]
    request, _end = hop.request_of(kind)
    for number in range(_WARM + times):
        if number == _WARM:
            process.settle()
            rig.took.clear()
        await rig.request(clients[number % _CLIENTS], request, engine)
    await router.close()
    return {name: statistics.median(rig.took[name]) for name in STEPS if rig.took[name]}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="*", choices=[*KINDS, []])
    parser.add_argument("--evict", type=float, default=4, metavar="MIB", help="4 unless told")
    parser.add_argument("--times", type=int, default=200, help="requests; 200 unless told")
    asked = parser.parse_args()
    os.environ["BENCH_TOKEN"] = TOKEN
    for kind in asked.kind or KINDS:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            told = runner.run(_measure(kind, asked.evict, asked.times))
        request = sum(took for name, took in told.items() if name != "piece")
        steps = " ".join(f"{name} {took:.1f}" for name, took in told.items())
        print(f"{kind:18} {steps}  request {request:.1f} us")


if __name__ == "__main__":
    _main()
