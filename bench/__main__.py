"""`make bench`: what the router costs beside nginx, with everything on, on one core.

Engine and load generator share another core. Every scenario is put to each candidate in turn, some
rounds long; ratios are taken within a round, because a machine's speed moves from one to the next,
and their median is what counts. Exits 1 if a needed figure isn't reached.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench.gateways import LOAD_CORE, Bench, Candidate, MissingError, pinned
from bench.scenarios import SCENARIOS, TARGETS, Scenario, Target

QUICK = "rps64,flood64,paced64,paced256,paced1024,body1m"
# The first rounds of a fresh process are spent on growing its buffers.
WARM_S = 1.0
_QUIET = 0.2
_Run = dict[str, float]
Runs = dict[tuple[str, str, int], _Run]


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1-20")
    parser.add_argument("--only", default=QUICK, help=f"scenarios, of {QUICK}")
    parser.add_argument("--json", action="store_true", help="every run as JSON instead of a table")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}; there are {QUICK}")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two cores are needed: one for the gateway, one for engine and load")
    if (others := _busy_cores()) > _QUIET:
        sys.stderr.write(
            f"bench: other work uses {others:.1f} cores; what follows is not what a quiet machine"
            " would measure\n"
        )
    with tempfile.TemporaryDirectory(prefix="anvil-bench-") as name:
        folder = Path(name)
        try:
            runs, memory = _measure(
                folder, [SCENARIOS[s] for s in options.only.split(",")], options.rounds
            )
        except MissingError as error:
            sys.stderr.write(f"bench: {error}\n")
            return 2
    table = [
        (target, value)
        for target in TARGETS
        if (value := _figure(target, runs, memory)) is not None
    ]
    if options.json:
        told = [
            {"scenario": s, "candidate": c, "round": r, **run} for (s, c, r), run in runs.items()
        ]
        lines = [{"what": t.what, "value": v, "needed": t.needed, "goal": t.goal} for t, v in table]
        print(json.dumps({"table": lines, "memory": memory, "runs": told}, indent=1))
    else:
        _print(table, options.rounds)
    return 0 if all(_holds(target, value, target.needed) for target, value in table) else 1


def _busy_cores() -> float:
    """How many cores are in use now, over half a second."""

    def ticks() -> int:
        fields = Path("/proc/stat").read_text().split()[1:8]
        return sum(map(int, fields)) - int(fields[3]) - int(fields[4])

    before, began = ticks(), time.monotonic()
    time.sleep(0.5)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)


def _measure(folder: Path, scenarios: list[Scenario], rounds: int) -> tuple[Runs, dict[str, float]]:
    runs: Runs = {}
    bench = Bench(folder)
    try:
        candidates = bench.candidates()
        anvil = next(each for each in candidates if each.name == "anvil")
        memory = {"rss_idle": anvil.rss_mib()}
        for number in range(rounds):
            for scenario in scenarios:
                for turn in range(number * scenario.times, (number + 1) * scenario.times):
                    for candidate in candidates:
                        run = _run(bench, folder, scenario, candidate)
                        runs[scenario.name, candidate.name, turn] = run
                        _tell(f"{number + 1}/{rounds} {scenario.name:10} {candidate.name:11}", run)
                memory["rss_most"] = max(memory.get("rss_most", 0), anvil.rss_mib())
    finally:
        bench.stop()
    return runs, memory


def _run(bench: Bench, folder: Path, scenario: Scenario, candidate: Candidate) -> _Run:
    body = scenario.body(candidate.model)
    head = folder / "request-head"
    head.write_text(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\n"
        f"content-type: application/json\r\n{candidate.headers}content-length: {len(body)}\r\n\r\n",
        newline="",
    )
    (folder / "request-body").write_text(body)
    command = [*pinned(LOAD_CORE), bench.load, candidate.port, scenario.clients]
    command += [WARM_S + scenario.spread_s, scenario.seconds, scenario.spread_s]
    command += [
        ",".join(map(str, candidate.pids)) or "-",
        scenario.pieces,
        head,
        folder / "request-body",
    ]
    time.sleep(0.3)
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, check=True, timeout=90
    )
    run = json.loads(done.stdout)
    assert isinstance(run, dict)
    return {key: float(value) for key, value in run.items()}


def _figure(target: Target, runs: Runs, memory: dict[str, float]) -> float | None:
    if target.figure in memory:
        return memory[target.figure]
    if target.figure == "bad":
        return sum(
            run["bad"] for (_, name, _), run in runs.items() if name in ("anvil", "translated")
        )
    figure, _, how = target.figure.partition(" ")
    values = list(_values(target, figure, how, runs))
    return statistics.median(values) if values else None


def _values(target: Target, figure: str, how: str, runs: Runs) -> Iterable[float]:
    for (scenario, candidate, number), run in runs.items():
        if (scenario, candidate) != (target.scenario, target.candidate):
            continue
        value = _rate(run, figure)
        if how == "ratio":
            yield value / _rate(runs[scenario, "nginx", number], figure)
        elif how == "added":
            yield value - _rate(runs[scenario, "direct", number], figure)
        else:
            yield value


def _rate(run: _Run, figure: str) -> float:
    """Per second, or processor seconds per piece; times are what they are."""
    if figure == "cpu":
        return run["cpu_s"] / max(1, run["pieces"])
    return run[figure] / run["wall_s"] if figure in ("answers", "pieces") else run[figure]


def _holds(target: Target, value: float, bound: float) -> bool:
    return target.sign * value >= target.sign * bound


def _tell(label: str, run: _Run) -> None:
    cpu, wall = _rate(run, "cpu") * 1e6, run["wall_s"]
    sys.stderr.write(
        f"{label} {_rate(run, 'answers'):8.0f} answers/s {_rate(run, 'pieces'):8.0f} pieces/s"
        f" {cpu:6.1f} us/piece  first {run['first_p50_ms']:.2f} / {run['first_p99_ms']:.2f} ms"
        f"  bad {run['bad']:.0f}  machine {run['busy_s'] / wall:.2f} cores\n"
    )


def _print(table: list[tuple[Target, float]], rounds: int) -> None:
    print(f"\nThe router beside nginx, one core, everything on; medians of {rounds} rounds\n")
    print(f"{'what':28} {'scenario':10} {'measured':>12} {'needed':>10} {'goal':>10}")
    for target, value in table:
        needed, goal = (
            f"{bound:g} {'ok' if _holds(target, value, bound) else 'NO'}"
            for bound in (target.needed, target.goal)
        )
        unit = f" {target.unit}".rstrip()
        print(f"{target.what:28} {target.scenario:10} {value:12.5g}{unit:5} {needed:>8} {goal:>10}")


if __name__ == "__main__":
    sys.exit(main())
