"""A router of two tiers that one engine serves, and what is asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN, Running, Script
from tests.unit.router.one_engine import (
    HELLO,
    OPENAI_TEXT,
    OPENAI_WHOLE,
    by_stream,
)

PRESETS = 'chat = ["one", "two"]\nquick-edit = ["two"]\nmine = ["gone"]'
ENGINE = by_stream(OPENAI_TEXT, OPENAI_WHOLE)


@asynccontextmanager
async def stack(
    tmp_path: Path, script: Script = ENGINE, *, server: str = "", keys: str = ""
) -> AsyncIterator[tuple[httpx.AsyncClient, Running]]:
    """Two local tiers, and a cloud tier without its key."""
    async with doubles.double(script) as engine:
        text = server + doubles.config(
            doubles.tier("one", engine.url),
            doubles.tier("two", engine.url, context_limit=10_000),
            doubles.tier("gone", "http://127.0.0.1:9", privacy="cloud", auth_env="NO_SUCH_KEY"),
            presets=PRESETS,
            router_keys=keys,
        )
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            doubles.router(tmp_path / "router.toml", text) as running,
            httpx.AsyncClient(base_url=running.url, headers=headers) as client,
        ):
            yield client, running


async def chat(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    body = {"model": "chat", "messages": HELLO, **more}
    return await client.post("/v1/chat/completions", json=body)
