"""A router that checks answers, and engines whose answers are sound or not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN, Double, Running, Script
from tests.unit.router.one_engine import by_stream

BROKEN = "LEAK\n```python\nx = = 1\n```"
SOUND = "All is well."


def says(text: str, finish: str = "stop") -> Script:
    """An engine that answers with this text in two pieces, streamed where that is asked for."""
    half = len(text) // 2
    events = doubles.openai_events(
        {"content": text[:half]}, {"content": text[half:]}, finish=finish
    )
    whole = {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "served-name",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                     "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }  # fmt: skip
    return by_stream(events, whole)


@asynccontextmanager
async def stack(
    tmp_path: Path,
    *scripts: Script,
    presets: str = "",
    keys: str = "",
    more: dict[str, object] | None = None,
    verify: str = "cascade",
) -> AsyncIterator[tuple[httpx.AsyncClient, Running, list[Double]]]:
    """A router that checks answers (or not, as `verify` says), before tiers `a`, `b` and so on."""
    async with AsyncExitStack() as opened:
        engines = [await opened.enter_async_context(doubles.double(each)) for each in scripts]
        ids = "abc"[: len(scripts)]
        tiers = [
            doubles.tier(name, engine.url, "openai", **(more or {}))
            for name, engine in zip(ids, engines, strict=True)
        ]
        pool = json.dumps(list(ids))
        presets = presets or f'chat = {pool}\nplanning = ["a"]\nquick-edit = {pool}'
        text = doubles.config(*tiers, presets=presets, router_keys=keys, verify=verify)
        running = await opened.enter_async_context(doubles.router(tmp_path / "r.toml", text))
        client = httpx.AsyncClient(base_url=running.url, headers={"x-api-key": TOKEN})
        yield await opened.enter_async_context(client), running, engines


async def ask(client: httpx.AsyncClient, model: str = "chat", text: str = "hello",
              path: str = "/v1/chat/completions", **more: object) -> httpx.Response:  # fmt: skip
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 99,
        **more,
    }
    return await client.post(path, json=body)


async def newest(client: httpx.AsyncClient) -> dict[str, object]:
    (record,) = (await client.get("/v1/decisions?limit=1")).json()["data"]
    assert isinstance(record, dict)
    return record
