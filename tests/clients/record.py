"""Record the sessions that tests/unit/router/sessions replays: `python -m tests.clients.record`.

What a session holds of an agent's own words is cut to their beginnings, and what tells a machine,
a user, a day or a conversation is replaced: only the shape of the requests matters.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from tests.clients import agents, tasks
from tests.clients.agents import CLAUDE_CODE, CODEX, Agent
from tests.clients.table import at
from tests.clients.tasks import Task
from tests.double import prefix
from tests.double.engine import CHAT, MESSAGES, Call, Turn, stream
from tests.double.events import Label
from tests.double.server import Answer, Seen, double
from tests.unit.router import sessions
from tests.unit.router.sessions import Exchange, Sent, Session

_LONGEST, _KEPT, _DESCRIBED = 100, 40, 16
_HEADERS = ("content-type", "user-agent", "anthropic-beta", "anthropic-version", "originator")
# What an agent or the router makes up: UUIDs, and the middle of ids.
_MADE_UP = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=_)[0-9a-f]{24}(?![0-9a-f])")
_PLAIN = [
    (re.compile(r"\b[0-9a-f]{64}\b"), "0" * 64),
    (re.compile(r"\b20\d\d-\d\d-\d\d\b"), "2026-01-01"),
    # What Codex says of a program that runs.
    (re.compile(r"Chunk ID: \w+"), "Chunk ID: 000000"),
    (re.compile(r"Wall time: [\d.]+"), "Wall time: 0.1"),
    (re.compile(r"(session ID |\"session_id\": )\d+"), r"\g<1>1000"),
]
_PLAIN_KEYS = {"client_metadata": {}, "session_id": 1000}
RECORDED = [
    ("claude-code", CLAUDE_CODE, tasks.claude_reads_runs_and_writes),
    ("codex", CODEX, tasks.codex_starts_a_program_and_writes_to_it),
    ("codex-patch", CODEX, tasks.codex_patches),
]


class Scrub:
    """Replaces what is of one machine or one run, the same by the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._made_up: dict[str, str] = {}

    def __call__(self, value: object) -> object:
        """The value, without."""
        if isinstance(value, dict):
            return self.table(value)
        if isinstance(value, list):
            return [self(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def table(self, value: Mapping[str, object]) -> dict[str, object]:
        """An object, without."""
        return {key: self._told(key, inner) for key, inner in value.items()}

    def text(self, value: str) -> str:
        """A text, without."""
        value = value.replace(self._folder, "/home/user")
        value = _MADE_UP.sub(self._numbered, value)
        for found, plain in _PLAIN:
            value = found.sub(plain, value)
        return value if len(value) <= _LONGEST else f"{value[:_KEPT]}..."

    def _told(self, key: str, value: object) -> object:
        """What an agent says to describe its tools is its maker's, and long."""
        if key == "description" and isinstance(value, str) and len(value) > _DESCRIBED:
            return f"{value[:_DESCRIBED]}..."
        return _PLAIN_KEYS.get(key) if key in _PLAIN_KEYS else self(value)

    def _numbered(self, found: re.Match[str]) -> str:
        number = f"{len(self._made_up) + 1:012}"
        begins = "00000000-0000-0000-0000-" if "-" in found[0] else "0" * 12
        return self._made_up.setdefault(found[0], begins + number)


@asynccontextmanager
async def tap(url: str) -> AsyncIterator[tuple[str, list[Seen]]]:
    """An address that passes on to `url`, and what was asked there."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def script(seen: Seen, answer: Answer) -> None:
            kept = {k: v for k, v in seen.headers.items() if k not in ("host", "content-length")}
            async with client.stream(
                seen.method, seen.path, headers=kept, content=seen.body
            ) as response:
                await answer.start(response.headers["content-type"])
                async for data in response.aiter_raw():
                    await answer.chunk(data)
            await answer.end()

        async with double(script) as found:
            yield found.url, found.seen


async def record(name: str, agent: Agent, make: Callable[[Path], Task], dialect: str) -> None:
    """Let the agent do its task, and write down what it asked and what was answered."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        task = make(folder / "project")
        scrub = Scrub(folder)
        async with (
            at(agent, folder, dialect, task.play) as table,
            tap(table.url) as (url, asked),
        ):
            agents.connect(agent, table.place, url)
            await agents.ask(agent, table.place, task.prompt, *task.arguments)
        posted = [sent(seen, scrub) for seen in asked if seen.method == "POST"]
        turns = [scrubbed(turn, scrub) for turn, _label in table.engine.told]
        # What has to be seen and got is what the router makes of the scrubbed requests now; the
        # second time the engine counts tokens of those.
        exchanges = [Exchange(each, each, [], []) for each in posted]
        for _ in range(2):
            answered(exchanges, turns, dialect)
            session = Session(agent.label, dialect, exchanges)
            exchanges = await sessions.replay(session, folder)
        sessions.save(f"{name}-{dialect}", Session(agent.label, dialect, exchanges))


def answered(exchanges: list[Exchange], turns: list[Turn], dialect: str) -> None:
    """Put in what an engine says to what it has seen."""
    cache = prefix.PrefixCache()
    path = CHAT if dialect == "openai" else MESSAGES
    for number, (exchange, turn) in enumerate(zip(exchanges, turns, strict=True), 1):
        prompt = prefix.tokens(exchange.seen.body)
        label = Label(str(number), "one-model", len(prompt), turn.size, cache.take(prompt))
        exchange.said = [each.decode().removesuffix("\n\n") for each in stream(path, turn, label)]


def scrubbed(turn: Turn, scrub: Scrub) -> Turn:
    """The turn as an engine would say it elsewhere."""
    calls = tuple(Call(call.name, scrub.table(call.arguments)) for call in turn.calls)
    return replace(turn, calls=calls)


def sent(seen: Seen, scrub: Scrub) -> Sent:
    """A request as an agent would send it elsewhere."""
    headers = {key: seen.headers[key] for key in _HEADERS if key in seen.headers}
    body = json.loads(json.dumps(scrub(seen.json)))
    return Sent(seen.path, headers, body)


async def main() -> None:
    for name, agent, make in RECORDED:
        for dialect in ("openai", "anthropic"):
            await record(name, agent, make, dialect)
            print(f"recorded {name} with an engine that speaks {dialect}")


if __name__ == "__main__":
    asyncio.run(main())
