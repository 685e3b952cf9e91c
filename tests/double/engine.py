"""An engine without a model: the HTTP surface of an engine, answers by script, a prefix cache."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.double import events, prefix
from tests.double.events import Label
from tests.double.server import Answer, Seen

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
_PIECE = 12


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model calls."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: reasoning, text, then calls. One that is `held` begins, and goes on for ever."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    held: bool = False

    @property
    def size(self) -> int:
        """Tokens."""
        said = "".join(json.dumps([call.name, call.arguments]) for call in self.calls)
        return prefix.count(self.thinking + self.text + said)


# From a request's body to what is answered.
Play = Callable[[Mapping[str, object]], Turn]


def scripted(*turns: Turn) -> Play:
    """The turns of one conversation, in order: the answers so far tell which one is next."""

    def play(body: Mapping[str, object]) -> Turn:
        messages = body["messages"]
        assert isinstance(messages, list)
        return turns[sum(1 for each in messages if each["role"] == "assistant")]

    return play


class Engine:
    """A script for a double: serves one name, in both dialects. All is 503 until it has loaded."""

    def __init__(self, name: str, play: Play, *, loaded: bool = True) -> None:
        """`told` is what it has answered, with its counts of tokens."""
        self.name = name
        self.play = play
        self.loaded = loaded
        self.told: list[tuple[Turn, Label]] = []
        self.holding = asyncio.Event()
        self._cache = prefix.PrefixCache()
        self._numbers = itertools.count(1)

    async def __call__(self, seen: Seen, answer: Answer) -> None:
        path = seen.path.partition("?")[0]
        if not self.loaded:
            await _refuse(answer, 503, "Loading model")
        elif path in ("/health", "/ready"):
            await answer.json({"status": "ok"})
        elif path == "/v1/models":
            await answer.json({"object": "list", "data": [{"id": self.name}]})
        elif path == f"{MESSAGES}/count_tokens":
            await answer.json({"input_tokens": len(prefix.tokens(seen.json))})
        elif path not in (CHAT, MESSAGES):
            await _refuse(answer, 404, "Not Found")
        elif seen.json.get("model") != self.name:
            await _refuse(answer, 404, f"The model {seen.json.get('model')} is not here.")
        else:
            await self._answer(path, seen.json, answer)

    async def _answer(self, path: str, body: Mapping[str, object], answer: Answer) -> None:
        turn, label = self._turn(body)
        if not body.get("stream"):
            whole = openai_whole if path == CHAT else anthropic_whole
            await answer.json(whole(turn, label))
            return
        made = stream(path, turn, label)
        await answer.start()
        for event in made[: len(made) // 2] if turn.held else made:
            await answer.chunk(event)
        if turn.held:
            self.holding.set()
            # The double ends this when the client leaves.
            await asyncio.Event().wait()
        await answer.end()

    def events(self, seen: Seen) -> list[bytes]:
        """The stream that it would answer with, for scripts that spoil it."""
        return stream(seen.path, *self._turn(seen.json))

    def _turn(self, body: Mapping[str, object]) -> tuple[Turn, Label]:
        turn = self.play(body)
        prompt = prefix.tokens(body)
        cached = self._cache.take(prompt)
        number = str(next(self._numbers))
        label = Label(number, self.name, len(prompt), turn.size, cached)
        self.told.append((turn, label))
        return turn, label


def stream(path: str, turn: Turn, label: Label) -> list[bytes]:
    """A turn as the events of an endpoint's stream."""
    return openai_stream(turn, label) if path == CHAT else anthropic_stream(turn, label)


def openai_stream(turn: Turn, label: Label) -> list[bytes]:
    """A turn as a Chat Completions stream, arguments in fragments."""
    pieces: list[object] = [{"reasoning_content": piece} for piece in _pieces(turn.thinking)]
    pieces += [{"content": piece} for piece in _pieces(turn.text)]
    for index, call in enumerate(turn.calls):
        head = {"name": call.name, "arguments": ""}
        known = {"index": index, "id": f"call_{label.id}_{index}", "type": "function"}
        pieces.append({"tool_calls": [{**known, "function": head}]})
        pieces += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in _pieces(json.dumps(call.arguments))
        ]
    finish = "tool_calls" if turn.calls else "stop"
    return events.openai_events(*pieces, finish=finish, label=label)


def anthropic_stream(turn: Turn, label: Label) -> list[bytes]:
    """A turn as a Messages stream, arguments in fragments."""
    blocks: list[events.Block] = []
    if turn.thinking:
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        sealed = {"type": "signature_delta", "signature": "seal"}
        blocks.append((thought, [*_deltas("thinking", turn.thinking), sealed]))
    if turn.text:
        blocks.append(({"type": "text", "text": ""}, _deltas("text", turn.text)))
    for index, call in enumerate(turn.calls):
        use = {"type": "tool_use", "id": _use(label, index), "name": call.name, "input": {}}
        written = [
            {"type": "input_json_delta", "partial_json": each}
            for each in _pieces(json.dumps(call.arguments))
        ]
        blocks.append((use, written))
    stop = "tool_use" if turn.calls else "end_turn"
    return events.anthropic_events(*blocks, stop=stop, label=label)


def openai_whole(turn: Turn, label: Label) -> dict[str, object]:
    """A turn as one chat completion."""
    message: dict[str, object] = {"role": "assistant", "content": turn.text or None}
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    if turn.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{label.id}_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for index, call in enumerate(turn.calls)
        ]
    finish = "tool_calls" if turn.calls else "stop"
    return {
        "id": f"c{label.id}",
        "object": "chat.completion",
        "created": 1,
        "model": label.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": label.openai_usage,
    }


def anthropic_whole(turn: Turn, label: Label) -> dict[str, object]:
    """A turn as one message."""
    content: list[dict[str, object]] = []
    if turn.thinking:
        content.append({"type": "thinking", "thinking": turn.thinking, "signature": "seal"})
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    content += [
        {"type": "tool_use", "id": _use(label, index), "name": call.name, "input": call.arguments}
        for index, call in enumerate(turn.calls)
    ]
    return {
        "id": f"msg_{label.id}",
        "type": "message",
        "role": "assistant",
        "model": label.model,
        "content": content,
        "stop_reason": "tool_use" if turn.calls else "end_turn",
        "stop_sequence": None,
        "usage": {**label.anthropic_usage, "output_tokens": label.made},
    }


def _deltas(kind: str, text: str) -> list[Mapping[str, object]]:
    return [{"type": f"{kind}_delta", kind: each} for each in _pieces(text)]


def _use(label: Label, index: int) -> str:
    return f"toolu_{label.id}_{index}"


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))


async def _refuse(answer: Answer, status: int, message: str) -> None:
    await answer.json({"error": {"message": message}}, status)
