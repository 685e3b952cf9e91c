"""Recorded sessions of agents: what an agent asked, what the engine answered, what each had to see.

`tests/clients/record.py` writes them with the real agents. Here they are played again with neither
an agent nor a network: to a router that listens, in front of a double that says what was recorded.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from tests.double.server import Answer, Seen, double
from tests.unit.router import doubles

FOLDER = Path(__file__).with_name("sessions")
# What the router makes up for each answer.
_MADE_UP = [
    (re.compile(r"(?<=[_-])[0-9a-f]{24}(?=[_\"-])"), "0" * 24),
    (re.compile(r"(?<=\"created\":)\d+|(?<=\"created_at\":)\d+|(?<=\"completed_at\":)\d+"), "0"),
]
# Down to here, longer values than this have a line for each of their parts.
_DEEPEST, _SHORT = 5, 80
_TOLD = ("content-type", "anthropic-beta", "anthropic-version")


class Sent(msgspec.Struct):
    """A request: the agent's, or the one that the engine has to see."""

    path: str
    headers: dict[str, str]
    body: dict[str, object]


class Exchange(msgspec.Struct):
    """One request of the agent. Streams are lists of events, without the empty line after each."""

    asked: Sent
    # What the engine has to see, and answers.
    seen: Sent
    said: list[str]
    # What the agent has to get.
    got: list[str]


class Session(msgspec.Struct):
    """A session of `agent`, a package and its version, with an engine of one dialect."""

    agent: str
    dialect: str
    exchanges: list[Exchange]


def names() -> list[str]:
    """Every recorded session."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> Session:
    """A recorded session."""
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=Session)


def save(name: str, session: Session) -> None:
    """Write it where `load` finds it, to be read by people too."""
    FOLDER.mkdir(exist_ok=True)
    text = _laid_out(msgspec.to_builtins(session), 0)
    (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


def _laid_out(value: object, depth: int) -> str:
    """JSON with a line for each event, message and tool."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or depth > _DEEPEST or len(line) <= _SHORT:
        return line
    inner = ",\n".join(
        f"{' ' * (depth + 1)}{json.dumps(key) + ': ' if isinstance(value, dict) else ''}"
        f"{_laid_out(value[key], depth + 1)}"
        for key in (value if isinstance(value, dict) else range(len(value)))
    )
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{inner}\n{' ' * depth}{end}"


async def replay(session: Session, folder: Path) -> list[Exchange]:
    """The same requests and the same engine's answers, with what was seen and got this time."""
    answers = iter([each.said for each in session.exchanges])

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        for event in next(answers):
            await answer.chunk(f"{event}\n\n".encode())
        await answer.end()

    async with double(script) as engine:
        tier = doubles.tier("one", engine.url, session.dialect, context_limit=200_000)
        text = doubles.config(tier, presets='chat = ["one"]')
        async with (
            doubles.router(folder / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, timeout=10) as client,
        ):
            got = [await _ask(client, each.asked) for each in session.exchanges]
    return [
        Exchange(each.asked, _sent(seen), each.said, list(_events(text)))
        for each, seen, text in zip(session.exchanges, engine.seen, got, strict=True)
    ]


async def _ask(client: httpx.AsyncClient, asked: Sent) -> str:
    headers = {**asked.headers, "authorization": f"Bearer {doubles.TOKEN}"}
    answer = await client.post(asked.path, json=asked.body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def _sent(seen: Seen) -> Sent:
    headers = {name: seen.headers[name] for name in _TOLD if name in seen.headers}
    return Sent(seen.path, headers, seen.json)


def _events(text: str) -> Iterator[str]:
    for made_up, plain in _MADE_UP:
        text = made_up.sub(plain, text)
    return itertools.filterfalse(lambda event: not event, text.split("\n\n"))
