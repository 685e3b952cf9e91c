"""What the router's judgement costs: decisions, checks, and the window around an answer.

    python bench/judgement.py

Times are the least of several runs, in milliseconds, on one core; limits are those that the router
is held to. Exits with 1 if one is not kept.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME))

from anvil_ctl.router import config as configs  # noqa: E402
from anvil_ctl.router.judgement import intent  # noqa: E402
from anvil_ctl.router.judgement.judge import judge  # noqa: E402
from anvil_ctl.router.judgement.policy import Circumstances  # noqa: E402
from anvil_ctl.router.judgement.reading import read  # noqa: E402
from anvil_ctl.router.profile.store import Profile  # noqa: E402
from anvil_ctl.router.verify.chain import verify  # noqa: E402
from anvil_ctl.router.verify.view import LONGEST, Asked, View  # noqa: E402
from tests.unit.router import doubles  # noqa: E402

RUNS = 30
WORDS = "the tier answers when its engine has shown that it does, and not before; "
TIERS = [doubles.tier(name, "http://127.0.0.1:9", context_limit=10**6) for name in "abcdef"]
CONFIG = configs.parse(
    doubles.config(*TIERS, presets='chat = ["a", "b", "c", "d"]', verify="cascade").encode(),
    "bench",
)
ALL = Asked(json=True, patch=True, schema={"type": "object"}, tools={"f": ("a",)})
ADVERSARIES = {
    "prose": WORDS,
    "opening and inline fences": "```a\nshort ``` inline\n",
    "fences alone": "```\n",
    "lists of fences": "1. - ```\n",
    "blocks of Python": "```python\nx = f'{a}{b}'\n```\n",
    "statements": "a;",
    "hunks": "@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
    "lines of JSON": '{"a": 1}\n',
    "quoted tildes": '"~~~"\n',
}


def least(run: Callable[[], object], runs: int = RUNS) -> float:
    """Milliseconds of the fastest run."""
    best = float("inf")
    for _ in range(runs):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best * 1000


def body(size: int, model: str) -> dict[str, object]:
    """A conversation of about `size` bytes, in messages of 1 KB at most 64 of them."""
    count = min(64, max(1, size // 1000))
    each = (WORDS * (size // len(WORDS) + 1))[: size // count]
    roles = ("user", "assistant")
    return {
        "model": model,
        "messages": [{"role": roles[n % 2], "content": each} for n in range(count)],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    }


def decision(size: int, model: str) -> float:
    """A whole decision, from a parsed body to ordered candidates."""
    raw, profile = body(size, model), Profile()
    names = intent.every_name(CONFIG)

    def run() -> object:
        name = names.get(model) or intent.named(CONFIG, model)
        return judge(CONFIG, name, read(raw), profile, Circumstances())

    return least(run)


def slowest() -> tuple[str, float]:
    """The worst of the adversarial texts, alone and in blocks of each kind."""
    found = ("", 0.0)
    for name, unit in ADVERSARIES.items():
        for around in ("{}", "```python\n{}\n```", "```json\n{}\n```", "```diff\n{}\n```"):
            text = around.format((unit * (LONGEST // len(unit) + 1))[: LONGEST - 20])
            for asked in (Asked(), ALL):
                took = least(lambda t=text, a=asked: verify(View(t, asked=a)), 3)  # type: ignore[misc]
                found = max(found, (name, took), key=lambda each: each[1])
    return found


async def window() -> float:
    """How much later a checked answer is whole at the client than the same answer unchecked."""
    pieces = [{"content": f"word {number} "} for number in range(300)]
    engine = doubles.streams(doubles.openai_events(*pieces))
    took: dict[str, float] = {}
    os.environ["TIER_KEY"] = "k"
    async with doubles.double(engine) as double:
        for verify_ in ("off", "cascade"):
            text = doubles.config(
                doubles.tier("a", double.url), presets='chat = ["a"]', verify=verify_
            )
            with tempfile.TemporaryDirectory() as folder:
                async with doubles.router(Path(folder) / "r.toml", text) as running:
                    took[verify_] = await _asked(running.url)
    return max(0.0, took["cascade"] - took["off"])


async def _asked(url: str) -> float:
    headers = {"x-api-key": doubles.TOKEN}
    asked = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:

        async def once() -> None:
            answer = await client.post("/v1/chat/completions", json=asked)
            assert answer.text.endswith("[DONE]\n\n")

        return await _least_async(once)


async def _least_async(run: Callable[[], Awaitable[None]]) -> float:
    best = float("inf")
    for _ in range(RUNS):
        began = time.perf_counter()
        await run()
        best = min(best, time.perf_counter() - began)
    return best * 1000


def main() -> int:
    """Print the table; 1 if a limit is not kept."""
    name, worst = slowest()
    prose = (WORDS * (20_000 // len(WORDS) + 1))[:20_000]
    rows = [
        ("decision, 10 KB, preset", decision(10_000, "chat"), 0.3),
        ("decision, 10 KB, inferred", decision(10_000, "gpt-4o"), 0.3),
        ("decision, 100 KB, inferred", decision(100_000, "gpt-4o"), 5.0),
        ("decision, 1 MB, preset", decision(1_000_000, "chat"), 5.0),
        ("decision, 1 MB, inferred", decision(1_000_000, "gpt-4o"), 5.0),
        ("all checks, 20 KB of prose", least(lambda: verify(View(prose))), 5.0),
        (f"all checks, 256 KiB, worst ({name})", worst, 100.0),
        ("commit window over the raw stream, 300 events", asyncio.run(window()), 3.0),
    ]
    width = max(len(row[0]) for row in rows)
    print(f"{'':{width}}  {'ms':>8}  {'limit':>8}")
    for label, took, limit in rows:
        print(f"{label:{width}}  {took:8.3f}  {limit:8.1f}")
    return int(any(took > limit for _label, took, limit in rows))


if __name__ == "__main__":
    sys.exit(main())
