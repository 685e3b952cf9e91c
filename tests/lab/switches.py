"""Switches back and forth under load: what fails (nothing may), and where the time goes."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

import httpx

from tests.e2e.load import Load
from tests.e2e.stack import Stack, docker
from tests.lab.command import Ran, run
from tests.lab.site import container, settled

MODES = ("agentic", "flexibility")


@dataclass
class Switches:
    """Some switches, with what their clients saw."""

    ran: list[Ran] = field(default_factory=list)
    requests: int = 0
    errors: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def table(self) -> str:
        """Each phase with its median and its maximum, in seconds."""
        names = dict.fromkeys(name for each in self.ran for name in each.phases)
        lines = [f"{'phase':<14}{'median s':>9}{'max s':>9}"]
        rows = {name: [each.phases.get(name, 0.0) for each in self.ran] for name in names}
        rows["all acts"] = [sum(each.phases.values()) for each in self.ran]
        rows["the command"] = [each.seconds for each in self.ran]
        for name, times in rows.items():
            lines.append(f"{name:<14}{statistics.median(times):>9.2f}{max(times):>9.2f}")
        lines.append(
            f"{len(self.ran)} switches, {self.requests} requests, {len(self.errors)} errors, "
            f"the longest request {self.longest_s:.1f} s"
        )
        return "\n".join([*lines, *self.errors[:5]])


def back_and_forth(stack: Stack, times: int) -> Switches:
    """So many switches in all, from agentic and back to it, under load."""
    found = Switches()
    with Load(stack) as load:
        time.sleep(2)
        for number in range(times):
            target = MODES[(number + 1) % 2]
            ran = run(stack, "switch", target)
            assert ran.code == 0, ran.words
            found.ran.append(ran)
            time.sleep(1)
        assert settled(stack, MODES[times % 2])
    found.requests, found.errors = len(load.done), load.errors()
    found.longest_s = load.longest_s()
    return found


def _stop(stack: Stack, mode: str) -> float:
    began = time.monotonic()
    docker("stop", container(stack, mode))
    return time.monotonic() - began


def _start(stack: Stack, mode: str, limit_s: float) -> float:
    """Until it has made one token, as seen from the host."""
    name = container(stack, mode)
    began = time.monotonic()
    docker("start", name)
    port = docker("port", name).strip().rsplit(":", 1)[1]
    ask = {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=limit_s) as to:
        while time.monotonic() - began < limit_s:
            try:
                if to.post("/v1/chat/completions", json=ask).status_code == 200:
                    return time.monotonic() - began
            except httpx.HTTPError:
                pass
            time.sleep(0.02)
    raise AssertionError(f"{name} did not start in {limit_s:.0f} s")


def speed(stack: Stack, times: int = 3) -> str:
    """A switch without load beside the engines' own stop and start, medians of some runs."""
    own: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
    whole: list[Ran] = []
    for _ in range(times):
        for source, target in ((MODES[0], MODES[1]), (MODES[1], MODES[0])):
            own[source].append((_stop(stack, source), _start(stack, source, 60)))
            ran = run(stack, "switch", target)
            assert ran.code == 0, ran.words
            whole.append(ran)
    stops = statistics.median(stop for each in own.values() for stop, _start_s in each)
    starts = statistics.median(start for each in own.values() for _stop_s, start in each)
    acts = statistics.median(sum(each.phases.values()) for each in whole)
    command = statistics.median(each.seconds for each in whole)
    before = statistics.median((each.held or each.ended) - each.began for each in whole)
    return "\n".join(
        [
            f"{'bare docker stop':<34}{stops:>7.2f} s",
            f"{'bare docker start to one token':<34}{starts:>7.2f} s",
            f"{'all acts of a switch':<34}{acts:>7.2f} s   {acts - stops - starts:+.2f} over bare",
            f"{'before the hold (plan and gates)':<34}{before:>7.2f} s",
            f"{'the whole command':<34}{command:>7.2f} s",
        ]
    )
