"""What the bench asks of a gateway, and what it holds the router to."""

from __future__ import annotations

from dataclasses import dataclass

STREAM_S = 4.0


@dataclass(frozen=True)
class Scenario:
    """`clients` at once, each for `pieces` every `gap_us` (0: at once, `batch` in one write).

    `times`: so often in each round, where one and the same process differs by a fifth from one
    run to the next.
    """

    name: str
    clients: int
    pieces: int = 0
    gap_us: int = 0
    batch: int = 1
    prompt: int = 0
    seconds: float = STREAM_S
    times: int = 1

    @property
    def streamed(self) -> bool:
        """Whether the answer is one."""
        return self.pieces > 0

    @property
    def spread_s(self) -> float:
        """Streams that last begin evenly within one's length, as those of many users do."""
        return self.pieces * self.gap_us / 1e6

    def body(self, model: str) -> str:
        """The request's body, by hand: the bench takes no part in what the router makes of JSON."""
        order = f"bench:{self.pieces or 1},{self.gap_us},{self.batch} " + "x" * self.prompt
        stream = ',"stream":true,"stream_options":{"include_usage":true}' if self.streamed else ""
        message = f'{{"role":"user","content":"{order}"}}'
        return (
            f'{{"model":"{model}","messages":[{message}],"max_tokens":50,"temperature":0{stream}}}'
        )


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("rps64", 64, seconds=2.5),
        Scenario("flood64", 64, pieces=200, batch=8, seconds=2.5),
        Scenario("paced64", 64, pieces=50, gap_us=20_000),
        Scenario("paced256", 256, pieces=50, gap_us=20_000, times=3),
        Scenario("paced1024", 1024, pieces=50, gap_us=20_000),
        Scenario("body1m", 1, prompt=1 << 20, seconds=2.0),
    )
}


@dataclass(frozen=True)
class Target:
    """A line of the table. `sign` -1: the less the better."""

    what: str
    scenario: str
    candidate: str
    figure: str
    needed: float
    goal: float
    sign: int = -1
    unit: str = ""


TARGETS = (
    Target("processor time per piece", "paced256", "anvil", "cpu ratio", 1.30, 1.15, unit="x"),
    Target("the same, translated", "paced256", "translated", "cpu ratio", 1.70, 1.40, unit="x"),
    Target(
        "first byte added, p50", "paced64", "anvil", "first_p50_ms added", 0.45, 0.25, unit="ms"
    ),
    Target(
        "first byte added, p99", "paced64", "anvil", "first_p99_ms added", 0.80, 0.50, unit="ms"
    ),
    Target("small calls per second", "rps64", "anvil", "answers ratio", 0.25, 0.40, 1, "x"),
    Target("pieces as fast as possible", "flood64", "anvil", "pieces ratio", 0.5, 0.8, 1, "x"),
    Target("separate pieces per second", "paced1024", "anvil", "pieces", 40e3, 51e3, 1, "/s"),
    Target("1 MB body decided in", "body1m", "anvil", "first_p50_ms added", 5.0, 5.0, unit="ms"),
    Target("memory at rest", "", "anvil", "rss_idle", 60, 45, unit="MiB"),
    Target("memory, highest", "", "anvil", "rss_most", 100, 70, unit="MiB"),
    Target("short or broken answers", "", "anvil", "bad", 0, 0),
)
