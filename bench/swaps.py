"""What the multiplexer costs and saves, with a real engine. `python bench/swaps.py --help`.

Containers are made from the flexibility mode of the installation in $ANVIL_HOME, whose images and
weights must be there. Exits 1 if one of the figures that are needed is not reached.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import aiodocker
import aiohttp
import msgspec

from bench.swap_rig import SOCKET, TOKEN, FailedError, Model, containers, multiplexer, ready

AUTH = {"authorization": f"Bearer {TOKEN}"}
# A resident that is not used is let go at once: what is timed is the swap, not the wait for it.
REST_S = 1.0
SHORT = 16
GRANT_MS, OVER, OVER_S, OF_FCFS, HEALTH_S = 0.3, 0.05, 0.2, 0.6, 0.1


@dataclass
class Report:
    """Lines to read, figures for programs, and what was not reached."""

    figures: dict[str, object] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def say(self, name: str, value: object, unit: str = "") -> None:
        self.figures[name] = value
        sys.stdout.write(f"  {name:<44} {value} {unit}\n")
        sys.stdout.flush()

    def need(self, name: str, *, reached: bool) -> None:
        if not reached:
            self.missed.append(name)
        sys.stdout.write(f"  {'reached' if reached else 'MISSED':<44} {name}\n")


class Health(msgspec.Struct):
    """What is read of /healthz."""

    counters: dict[str, int]
    last_swap: dict[str, object] | None

    def told(self) -> tuple[int, dict[str, object]]:
        """How many swaps there were, and the last one."""
        return self.counters["swaps"], self.last_swap or {}


@dataclass
class Bench:
    """What the scenarios share."""

    docker: aiodocker.Docker
    session: aiohttp.ClientSession
    models: list[Model]
    url: str = ""

    async def bare_swap(self, old: Model, new: Model) -> float:
        """Docker's own stop and start, and the engine's own readiness, in seconds."""
        began = time.perf_counter()
        await self.docker.containers.container(old.container).stop(t=10)
        await self.docker.containers.container(new.container).start()
        await ready(self.session, new)
        return time.perf_counter() - began

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """A multiplexer is there while the block runs. It leaves its resident running."""
        with tempfile.TemporaryDirectory(prefix="anvil-bench-") as name:
            async with multiplexer(self.models, Path(name)) as self.url:
                yield

    async def only(self, model: Model) -> None:
        """Without a multiplexer: have this one run, and no other."""
        for each in self.models:
            if each is not model:
                await self.docker.containers.container(each.container).stop(t=10)
        await self.docker.containers.container(model.container).start()
        await ready(self.session, model)

    @contextlib.asynccontextmanager
    async def lease(self, model: Model) -> AsyncIterator[float]:
        """A lease; yields the seconds until it was granted."""
        began = time.perf_counter()
        body = {"model": model.name}
        async with self.session.post(f"{self.url}/v1/lease", json=body, headers=AUTH) as answer:
            async for line in answer.content:
                said = json.loads(line)
                if said["state"] == "granted":
                    break
                if said["state"] == "refused":
                    raise FailedError(said["message"])
            yield time.perf_counter() - began
            answer.close()

    async def chat(self, url: str, model: Model, tokens: int) -> str | None:
        """Stream one answer; what was wrong with it, or None."""
        body = {
            "model": model.name,
            "max_tokens": tokens,
            "stream": True,
            "messages": [{"role": "user", "content": "Tell me a story about a mountain."}],
        }
        last = b""
        try:
            async with self.session.post(
                f"{url}/v1/chat/completions", json=body, headers=AUTH
            ) as answer:
                if answer.status != 200:
                    return f"failed: {answer.status} {(await answer.text())[:200]}"
                async for line in answer.content:
                    last = line.strip() or last
        except (aiohttp.ClientError, OSError) as error:
            return f"cut: {type(error).__name__}: {error}"
        return None if last == b"data: [DONE]" else f"cut: ended with {last[:80]!r}"

    async def health(self) -> Health:
        async with self.session.get(f"{self.url}/healthz") as answer:
            return msgspec.json.decode(await answer.read(), type=Health)


async def swap_time(bench: Bench, report: Report, options: argparse.Namespace) -> None:
    """A swap over Docker's own stop and start, the two in turn."""
    a, b = bench.models
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(options.rounds):
        await bench.only(a)
        for old, new in ((a, b), (b, a)):
            await asyncio.sleep(REST_S)
            bare.append(await bench.bare_swap(old, new))
        async with bench.serving():
            for model in (b, a):
                await asyncio.sleep(REST_S)
                async with bench.lease(model) as took:
                    ours.append(took)
    plain, with_us = statistics.median(bare), statistics.median(ours)
    report.say("docker stop + start + ready, median", round(plain, 3), "s")
    report.say("the multiplexer's swap, median", round(with_us, 3), "s")
    over = with_us - plain
    report.say("over", f"{over * 1000:.0f} ms, {over / plain:.1%}")
    reached = over <= max(plain * OVER, OVER_S)
    report.need("a swap costs at most 5 % or 200 ms more", reached=reached)


async def grant_time(bench: Bench, report: Report, options: argparse.Namespace) -> None:
    """A lease for the resident, over a request that decides nothing, the two in turn."""
    a = bench.models[0]
    leases: list[float] = []
    others: list[float] = []
    async with bench.serving():
        async with bench.lease(a):
            pass
        for _ in range(options.grants):
            async with bench.lease(a) as took:
                leases.append(took * 1000)
            began = time.perf_counter()
            # As above, a connection of its own for each.
            async with bench.session.get(f"{bench.url}/v1/models", headers=AUTH) as answer:
                await answer.read()
            others.append((time.perf_counter() - began) * 1000)
    granted, plain = statistics.median(leases), statistics.median(others)
    report.say("lease for the resident, median", round(granted, 3), "ms")
    report.say("a request that decides nothing, median", round(plain, 3), "ms")
    report.need(f"a grant adds at most {GRANT_MS} ms", reached=granted - plain <= GRANT_MS)


async def in_order(bench: Bench, pairs: int) -> float:
    """A B A B ... first come, first served, with Docker's own stop and start: seconds."""
    running = bench.models[0]
    await bench.only(running)
    began = time.perf_counter()
    for model in itertools.islice(itertools.cycle(bench.models), 2 * pairs):
        if model is not running:
            await bench.bare_swap(running, model)
            running = model
        wrong = await bench.chat(model.url, model, SHORT)
        if wrong is not None:
            raise FailedError(wrong)
    return time.perf_counter() - began


async def trace(bench: Bench, report: Report, options: argparse.Namespace) -> None:
    """The same requests from two clients, each of which asks again as soon as it is answered."""
    fcfs = await in_order(bench, options.pairs)

    async def client(model: Model) -> None:
        for _ in range(options.pairs):
            wrong = await bench.chat(bench.url, model, SHORT)
            if wrong is not None:
                raise FailedError(wrong)

    await bench.only(bench.models[0])
    async with bench.serving():
        async with bench.lease(bench.models[0]):
            pass
        began = time.perf_counter()
        await asyncio.gather(*(client(model) for model in bench.models))
        ours = time.perf_counter() - began
        swaps, last = (await bench.health()).told()
    report.say("first come, first served", round(fcfs, 2), f"s, {2 * options.pairs - 1} swaps")
    report.say("the multiplexer", round(ours, 2), f"s, {swaps} swaps")
    report.say("of that", f"{ours / fcfs:.0%}")
    report.need(
        f"at most {OF_FCFS:.0%} of first come, first served", reached=ours <= OF_FCFS * fcfs
    )
    window = float(str(last["load_s"]))
    reached = swaps <= ours / window + 1
    report.need(f"at most one swap in each residency of {window:.2f} s", reached=reached)


@dataclass
class Soak:
    """Clients of both models that stream until so many swaps were done."""

    bench: Bench
    tokens: int
    wrong: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    phases: dict[float, dict[str, object]] = field(default_factory=dict)
    answers: int = 0
    slowest_health_s: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def leases(self, model: Model) -> None:
        """As the router does it: a lease, and the answer straight from the engine."""
        while not self.over.is_set():
            async with self.bench.lease(model) as waited:
                self.waits.append(waited)
                self._note(model, await self.bench.chat(model.url, model, self.tokens))

    async def is_relayed(self, model: Model) -> None:
        """As a client without the router does it."""
        while not self.over.is_set():
            self._note(model, await self.bench.chat(self.bench.url, model, self.tokens))

    async def watch(self, swaps: int) -> None:
        """Collect the swaps, and end it when there were enough."""
        while not self.over.is_set():
            began = time.perf_counter()
            health = await self.bench.health()
            self.slowest_health_s = max(self.slowest_health_s, time.perf_counter() - began)
            done, last = health.told()
            if last:
                self.phases[round(float(str(last["at"])), 1)] = last
            if done >= swaps:
                self.over.set()
            await asyncio.sleep(0.1)

    def _note(self, model: Model, wrong: str | None) -> None:
        self.answers += 1
        if wrong is not None:
            self.wrong.append(f"{model.name}: {wrong}")


async def soak(bench: Bench, report: Report, options: argparse.Namespace) -> None:
    """Not one answer may fail or be cut."""
    found = Soak(bench, options.tokens)
    kinds = (found.leases, found.is_relayed)
    began = time.perf_counter()
    async with bench.serving():
        work = [kinds[n // 2 % 2](bench.models[n % 2]) for n in range(options.clients)]
        await asyncio.gather(found.watch(options.swaps), *work)
        report.say("counters", (await bench.health()).counters)
    took = time.perf_counter() - began
    report.say("swaps", options.swaps, f"under {options.clients} clients, {took:.0f} s")
    report.say("answers", found.answers)
    for kind in ("failed", "cut"):
        report.say(kind, sum(1 for each in found.wrong if f": {kind}: " in each))
    for each in found.wrong[:5]:
        sys.stdout.write(f"  {each}\n")
    report.say("wait for a lease", _spread(found.waits))
    for phase in ("drain_s", "stop_s", "load_s"):
        took_s = [float(str(swap[phase])) for swap in found.phases.values()]
        report.say(f"{phase} of a swap", _spread(took_s))
    report.say("the slowest /healthz", round(found.slowest_health_s * 1000, 1), "ms")
    report.need("no answer failed or was cut", reached=not found.wrong)
    report.need("/healthz within 100 ms", reached=found.slowest_health_s < HEALTH_S)


def _spread(values: Sequence[float]) -> str:
    cuts = statistics.quantiles(values, n=20)
    return (
        f"p50 {cuts[9]:.3f}  p95 {cuts[18]:.3f}  max {max(values):.3f} s  ({len(values)} of them)"
    )


SCENARIOS = {"swap": swap_time, "grant": grant_time, "trace": trace, "soak": soak}


async def measure(options: argparse.Namespace, report: Report) -> None:
    """Every scenario, on two containers."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=300)
    docker = aiodocker.Docker(SOCKET)
    async with (
        docker,
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        containers(docker, options.engine_args.split()) as models,
    ):
        for scenario in options.only.split(","):
            sys.stdout.write(f"{scenario}\n")
            await SCENARIOS[scenario](Bench(docker, session, models), report, options)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="swap,grant,trace,soak", help="scenarios")
    parser.add_argument("--rounds", type=int, default=10, help="of swap")
    parser.add_argument("--grants", type=int, default=500, help="leases of grant")
    parser.add_argument("--pairs", type=int, default=20, help="of requests in trace")
    parser.add_argument("--swaps", type=int, default=200, help="of soak")
    parser.add_argument("--clients", type=int, default=8, help="of soak")
    parser.add_argument("--tokens", type=int, default=16, help="of each answer of soak")
    parser.add_argument("--engine-args", default="", help="further arguments for the engines")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    report = Report()
    try:
        asyncio.run(measure(options, report))
    except FailedError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    if options.json:
        options.json.write_text(json.dumps(report.figures, indent=1) + "\n")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
