"""The twenty-four worked examples, expected and got. `-s` prints them as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from anvil_ctl.router.config import Config
from anvil_ctl.router.judgement import intent as intents
from anvil_ctl.router.judgement.plan import handling
from anvil_ctl.router.judgement.policy import Circumstances, Decision, Needs, route
from anvil_ctl.router.judgement.reading import read
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile.row import Row, Verdict
from anvil_ctl.router.profile.store import Profile
from tests.unit.router.judgement import examples

TOOLS = [{"type": "function", "function": {"name": "f"}}]
ALLOWED = Row(Verdict.ALLOW, 0.9, 10, "2026-07-01", fingerprint="sha256:before")


@dataclass
class Case:
    """An example: what is asked of which router, and what must come of it."""

    id: str
    config: Config
    body: dict[str, object]
    source: str
    work: str | None
    tiers: list[str]
    status: int | None = None
    plan: str = ""
    profile: Profile = field(default_factory=Profile)
    now: Circumstances = field(default_factory=Circumstances)
    tokens: int | None = None


def ask(model: str | None, text: str = "hello", **more: object) -> dict[str, object]:
    named = {} if model is None else {"model": model}
    return {**named, "messages": [{"role": "user", "content": text}], **more}


def knowing(row: Row, tier: str, work: Work) -> Profile:
    return Profile({(tier, work): row})


def moved() -> Profile:
    profile = knowing(ALLOWED, "heavy-local", Work.PLANNING)
    profile.apply("heavy-local", "sha256:after")
    return profile


def toolless(config: Config) -> Config:
    tiers = tuple(msgspec.structs.replace(t, tool_support=False) for t in config.tiers)
    return msgspec.structs.replace(config, tiers=tiers)


L, C = examples.local(), examples.redirecting(examples.with_cloud())
SWAP = examples.swapping('"planning", "bounded-edit", "chat-fast"')
HEAVY_LOADED = Circumstances(residents={"gpu": "heavy-local"})
FAST, HEAVY = "fast-local", "heavy-local"
DENIED = Row(Verdict.DENY, 0.4, 10)

CASES = [
    Case("A1", L, ask("chat"), "declared-preset", "chat", [FAST, HEAVY], plan="minimal minimal"),
    Case("A2", L, ask("planning"), "declared-preset", "planning", [], 503),
    Case("A3", C, ask("planning"), "declared-preset", "planning", ["cloud"], plan="raw"),
    Case("A4", C, ask("quick-edit"), "declared-preset", "bounded-edit", [FAST, HEAVY]),
    Case("A5", C, ask("gpt-4o", "fix the bug"), "inferred", "bounded-edit", [FAST, HEAVY]),
    Case("A6", C, ask("gpt-4o", "hello there"), "inferred", "chat", [FAST, HEAVY], plan="full full"),
    Case("A7", C, ask(FAST, "refactor the auth module"), "pinned", "multi-file-refactor", [HEAVY], plan="full"),
    Case("A8", C, ask("cloud", "fix the bug"), "pinned", "bounded-edit", [], 503),
    Case("A9", C, ask(HEAVY, "plan it"), "pinned", "planning", ["cloud"]),
    Case("A10", toolless(L), ask("review", tools=TOOLS), "declared-preset", "review", [], 503),
    Case("A11", L, ask("chat"), "declared-preset", "chat", [HEAVY], tokens=40_000),
    Case("A12", L, ask("chat"), "declared-preset", "chat", [], 413, tokens=150_000),
    Case("A13", examples.gpu7(), ask("review"), "declared-preset", "review", ["gpu7"], plan="full"),
    Case("A14", examples.gpu7(), ask("planning"), "declared-preset", "planning", [], 503),
    Case("A15", C, ask("yolo"), "declared-preset", None, [FAST]),
    Case("A16", SWAP, ask("quick-edit"), "declared-preset", "bounded-edit", [HEAVY, "cloud", FAST], now=HEAVY_LOADED),
    Case("A17", SWAP, ask("chat-fast"), "declared-preset", "chat-fast", [FAST, "cloud"], now=HEAVY_LOADED),
    Case("A18", L, ask(None, "let's plan a trip", modality="voice"), "inferred", "chat-fast", [FAST, HEAVY]),
    Case("A19", L, ask("x", "word " * 4500), "inferred", "long-context", [HEAVY]),
    Case("A20", L, ask("planning"), "declared-preset", "planning", [HEAVY], plan="minimal",
         profile=knowing(ALLOWED, HEAVY, Work.PLANNING)),
    Case("A21", L, ask("planning"), "declared-preset", "planning", [HEAVY], plan="full", profile=moved()),
    Case("A22", examples.redirecting(L), ask(HEAVY, "review this"), "pinned", "review", [], 503,
         profile=knowing(DENIED, HEAVY, Work.REVIEW)),
    Case("A23", L, ask("chat"), "declared-preset", "chat", [HEAVY], now=Circumstances(unbound=frozenset({FAST}))),
    Case("A24", L, ask("planning"), "declared-preset", "planning", [], 503,
         now=Circumstances(unbound=frozenset({HEAVY}))),
]  # fmt: skip


def decide(case: Case) -> tuple[str, Decision]:
    reading = read(case.body)
    name = intents.named(case.config, case.body.get("model"))
    intent = intents.resolve(case.config, name, reading)
    context = reading.total.lower if case.tokens is None else case.tokens
    needs = Needs(context, reading.needs_tools, reading.needs_vision, reading.needs_schema)
    return intent.source, route(case.config, intent, needs, case.profile, case.now)


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    lines = ["", f"{'':4} {'source':15} {'class':19} {'expected':31} {'got':31} handling"]
    yield lines
    print("\n".join(lines))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_worked_example_comes_out_as_it_is_written(case: Case, table: list[str]) -> None:
    source, decision = decide(case)

    got = [each.tier.id for each in decision.candidates]
    plan = " ".join(handling(case.config, decision, each) for each in decision.candidates)
    expected, came = (
        ", ".join(tiers) or str(status)
        for tiers, status in ((case.tiers, case.status), (got, decision.status(503)))
    )
    table.append(
        f"{case.id:4} {source:15} {decision.work or '-':19} {expected:31} {came:31} {plan}"
    )
    assert (source, decision.work, got) == (case.source, case.work, case.tiers)
    assert decision.status(503) == (case.status or 503)
    assert not case.plan or plan == case.plan
