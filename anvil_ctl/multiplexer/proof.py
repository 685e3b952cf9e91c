"""Whether a model that slept is still the same: asked before it sleeps and after it woke."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from anvil_ctl.errors import AnvilError
from anvil_ctl.multiplexer.model import Model

_PROMPT = "List the first twelve prime numbers, and say in one sentence what a prime number is."
_TOKENS = 48
_PATIENCE = aiohttp.ClientTimeout(total=120, connect=5)
# Slower than that by this factor and this many seconds more is another engine than before.
_SLOWER, _SLACK_S, _SLACK_TOKEN_S = 1.5, 0.25, 0.02
# An average of accepted drafts moves by chance by no more than this.
_ACCEPTANCE = 0.1
_ACCEPTED = ("spec_accept_length", "acceptance_length", "spec_decode_acceptance_length")


class ProofError(AnvilError):
    """An engine did not answer what it was asked for a proof."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How a model answered one greedy question. Times are seconds.

    `accepted` is the mean length of accepted drafts, where the engine tells it.
    """

    said: str
    served: str
    first_s: float
    token_s: float
    accepted: float | None = None


def differs(before: Proof, after: Proof) -> str | None:
    """What speaks against a model that woke; None if it is as it was."""
    if after.served != before.served:
        return f"it answers as {after.served!r}, and was {before.served!r}"
    if after.said != before.said:
        return f"it says {after.said[:40]!r}, and said {before.said[:40]!r} to the same question"
    for what, was, now, slack in (
        ("its first token takes", before.first_s, after.first_s, _SLACK_S),
        ("a token takes", before.token_s, after.token_s, _SLACK_TOKEN_S),
    ):
        if now > was * _SLOWER + slack:
            return f"{what} {now:.3f} s, and took {was:.3f} s"
    if before.accepted is not None and (
        after.accepted is None
        or abs(after.accepted - before.accepted) > _ACCEPTANCE * before.accepted
    ):
        return f"{after.accepted} drafted tokens are accepted, and {before.accepted} were"
    return None


async def ask(session: aiohttp.ClientSession, model: Model) -> Proof:
    """Put the question. Raises ProofError."""
    body = {
        "model": model.name,
        "messages": [{"role": "user", "content": _PROMPT}],
        "temperature": 0,
        "seed": 1,
        "max_tokens": _TOKENS,
        "stream": True,
    }
    began = time.monotonic()
    try:
        async with session.post(
            f"{model.url}/v1/chat/completions", json=body, timeout=_PATIENCE
        ) as answer:
            if answer.status != 200:
                raise ProofError(f"{model.name} answered {answer.status} to a question")
            return await _read(answer, began)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ProofError(f"{model.name} did not answer a question: {error!r}") from error


async def _read(answer: aiohttp.ClientResponse, began: float) -> Proof:
    first, last, pieces, served = 0.0, 0.0, [], ""
    accepted: float | None = None
    async for line in answer.content:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        event: Any = msgspec.json.decode(line[6:])
        served = event.get("model") or served
        accepted = _accepted(event) or accepted
        for choice in event.get("choices", ()):
            delta = choice.get("delta", {})
            if text := delta.get("content") or delta.get("reasoning_content"):
                last = time.monotonic() - began
                first = first or last
                pieces.append(text)
    if not pieces:
        raise ProofError("the answer to a question had no text")
    return Proof("".join(pieces), served, first, (last - first) / len(pieces), accepted)


def _accepted(event: dict[str, Any]) -> float | None:
    """Engines differ in where they say it: beside the answer, or with its counts."""
    for place in (event, event.get("usage") or {}, event.get("meta_info") or {}):
        for name in _ACCEPTED:
            if isinstance(place.get(name), int | float):
                return float(place[name])
    return None
