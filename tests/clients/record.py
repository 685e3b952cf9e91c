"""Record the sessions that tests/unit/router/sessions replays: `python -m tests.clients.record`.

What a session holds of an agent's own words is cut to their beginnings, and what tells a machine,
a user, a day or a conversation is replaced: only the shape of the requests matters.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from tests.clients import agents, tasks
from tests.clients.agents import CLAUDE_CODE, CODEX, Agent
from tests.clients.table import at
from tests.clients.tasks import Task
from tests.double.engine import CHAT, MESSAGES, Call, Turn, stream
from tests.double.server import Answer, Seen, double
from tests.unit.router import sessions
from tests.unit.router.sessions import Exchange, Sent, Session

_LONGEST, _KEPT, _DESCRIBED = 100, 40, 16
_HEADERS = ("content-type", "user-agent", "anthropic-beta", "anthropic-version", "originator")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(r"\b[0-9a-f]{64}\b")
_DAY = re.compile(r"\b20\d\d-\d\d-\d\d\b")
RECORDED = [
    ("claude-code", CLAUDE_CODE, tasks.claude_reads_runs_and_writes),
    ("codex", CODEX, tasks.codex_starts_a_program_and_writes_to_it),
    ("codex-patch", CODEX, tasks.codex_patches),
]


class Scrub:
    """Replaces what is of one machine or one run, the same by the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._uuids: dict[str, str] = {}

    def __call__(self, value: object) -> object:
        """The value, without."""
        if isinstance(value, dict):
            return {key: self._told(key, inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, value: str) -> str:
        """A text, without."""
        value = value.replace(self._folder, "/home/user")
        value = _UUID.sub(self._uuid, value)
        value = _DAY.sub("2026-01-01", _HEX.sub("0" * 64, value))
        return value if len(value) <= _LONGEST else f"{value[:_KEPT]}..."

    def _told(self, key: str, value: object) -> object:
        """What an agent says to describe its tools is its maker's, and long."""
        if key == "description" and isinstance(value, str) and len(value) > _DESCRIBED:
            return f"{value[:_DESCRIBED]}..."
        return self(value)

    def _uuid(self, found: re.Match[str]) -> str:
        number = len(self._uuids) + 1
        return self._uuids.setdefault(found[0], f"00000000-0000-0000-0000-{number:012}")


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
        path = CHAT if dialect == "openai" else MESSAGES
        exchanges = []
        posted = [seen for seen in asked if seen.method == "POST"]
        for seen, (turn, label) in zip(posted, table.engine.told, strict=True):
            said = [
                event.decode().removesuffix("\n\n")
                for event in stream(path, scrubbed(turn, scrub), label)
            ]
            exchanges.append(Exchange(sent(seen, scrub), Sent("", {}, {}), said, []))
        session = Session(agent.label, dialect, exchanges)
        # What has to be seen and got is what the router makes of the scrubbed requests now.
        session.exchanges = await sessions.replay(session, folder)
        sessions.save(f"{name}-{dialect}", session)


def scrubbed(turn: Turn, scrub: Scrub) -> Turn:
    """The turn as an engine would say it elsewhere."""
    calls = tuple(
        Call(call.name, {key: scrub(inner) for key, inner in call.arguments.items()})
        for call in turn.calls
    )
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
