"""Answers as engines write them: the events of streams, and scripts that send them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.double.server import Answer, Script, Seen


@dataclass(frozen=True, slots=True)
class Label:
    """What an engine puts on an answer. Token counts; `cached` None is not told."""

    id: str = "1"
    model: str = "served-name"
    given: int = 7
    made: int = 3
    cached: int | None = None

    @property
    def openai_usage(self) -> dict[str, object]:
        """Cached tokens are part of the prompt's."""
        total = self.given + self.made
        usage: dict[str, object] = {"prompt_tokens": self.given, "completion_tokens": self.made}
        if self.cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached}
        return {**usage, "total_tokens": total}

    @property
    def anthropic_usage(self) -> dict[str, object]:
        """Cached tokens stand beside the input's."""
        if self.cached is None:
            return {"input_tokens": self.given}
        return {
            "input_tokens": self.given - self.cached,
            "cache_read_input_tokens": self.cached,
        }


PLAIN = Label()
Block = tuple[Mapping[str, object], Sequence[Mapping[str, object]]]


def openai_events(
    *pieces: object, finish: str = "stop", done: bool = True, label: Label = PLAIN
) -> list[bytes]:
    """The events of an OpenAI stream with these delta objects, one bytes each."""
    base = {
        "id": f"c{label.id}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": label.model,
    }
    chunks: list[dict[str, object]] = [
        {**base, "choices": [{"index": 0, "delta": piece, "finish_reason": None}]}
        for piece in ({"role": "assistant", "content": ""}, *pieces)
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**base, "choices": [], "usage": label.openai_usage})
    events = [b"data: " + _compact(chunk) + b"\n\n" for chunk in chunks]
    return events + ([b"data: [DONE]\n\n"] if done else [])


def anthropic_events(
    *blocks: Block, stop: str = "end_turn", done: bool = True, label: Label = PLAIN
) -> list[bytes]:
    """The events of an Anthropic stream with these blocks and their deltas."""
    message: dict[str, object] = {
        "id": f"msg_{label.id}", "type": "message", "role": "assistant", "model": label.model,
        "content": [], "stop_reason": None, "stop_sequence": None,
        "usage": {**label.anthropic_usage, "output_tokens": 1},
    }  # fmt: skip
    events: list[dict[str, object]] = [{"type": "message_start", "message": message}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": stop, "stop_sequence": None}
    usage = {"output_tokens": label.made}
    events.append({"type": "message_delta", "delta": ending, "usage": usage})
    if done:
        events.append({"type": "message_stop"})
    return [
        b"event: " + str(event["type"]).encode() + b"\ndata: " + _compact(event) + b"\n\n"
        for event in events
    ]


def streams(events: list[bytes]) -> Script:
    """A script that streams these events, one chunk each, and ends properly."""

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.start()
        for event in events:
            await answer.chunk(event)
        await answer.end()

    return script


def answers(value: object, status: int = 200, headers: str = "") -> Script:
    """A script that answers with JSON."""

    async def script(_seen: Seen, answer: Answer) -> None:
        await answer.json(value, status, headers)

    return script


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
