"""Requests that are sent on as they are: completions, embeddings, rerank."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest

from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN, Answer, Double, Running, Script, Seen

VECTORS = {
    "object": "list", "model": "one-model", "usage": {"prompt_tokens": 4, "total_tokens": 4},
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
}  # fmt: skip
BOTH = 'chat = ["plain", "one"]'


@asynccontextmanager
async def stack(
    tmp_path: Path, script: Script, endpoints: list[str], presets: str = BOTH
) -> AsyncIterator[tuple[Running, Double]]:
    """A tier that serves the endpoints, after one that doesn't."""
    async with doubles.double(script) as engine:
        text = doubles.config(
            doubles.tier("plain", "http://127.0.0.1:9"),
            doubles.tier("one", engine.url, passthrough=endpoints)
            + "[router.tiers.extra_body]\nnever = 1\n",
            presets=presets,
        )
        async with doubles.router(tmp_path / "router.toml", text) as running:
            yield running, engine


def for_openai(running: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=TOKEN, max_retries=0)


async def test_embeddings_come_from_the_tier_that_has_them(tmp_path: Path) -> None:
    async with stack(tmp_path, doubles.answers(VECTORS), ["embeddings"]) as (running, engine):
        async with for_openai(running) as client:
            raw = await client.embeddings.with_raw_response.create(
                model="one-model", input=["a"], encoding_format="float", user="u"
            )
        answer = raw.parse()

        assert answer.data[0].embedding == [0.5, 1.0]
        assert answer.model == "one-model"
        assert raw.headers["x-anvil-tier"] == "one"
        seen = engine.seen[0]
        assert seen.path == "/v1/embeddings"
        assert seen.json == {
            "model": "one-model", "input": ["a"], "encoding_format": "float", "user": "u",
        }  # fmt: skip


async def test_a_preset_means_those_of_its_tiers_that_have_the_endpoint(tmp_path: Path) -> None:
    async with stack(tmp_path, doubles.answers(VECTORS), ["embeddings"]) as (running, engine):
        async with for_openai(running) as client:
            answer = await client.embeddings.create(
                model="chat", input="a", encoding_format="float"
            )

        assert answer.model == "chat"
        assert engine.seen[0].json["model"] == "one-model"


async def test_a_rerank_is_sent_on_byte_for_byte_but_for_the_name(tmp_path: Path) -> None:
    result = {"results": [{"index": 0, "relevance_score": 0.9}]}
    body = b'{"query": "a",  "documents": ["b"], "top_n": 1.0, "model": "one"}'
    async with stack(tmp_path, doubles.answers(result), ["rerank"]) as (running, engine):
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers) as client:
            answer = await client.post("/v1/rerank", content=body)

        assert answer.json() == result
        assert engine.seen[0].path == "/v1/rerank"
        assert b'"top_n":1.0' in engine.seen[0].body


def completion_events() -> list[bytes]:
    base = {"id": "c", "object": "text_completion", "created": 1, "model": "one-model"}
    pieces = [{"text": "On", "index": 0, "finish_reason": None},
              {"text": "ce", "index": 0, "finish_reason": None},
              {"text": "", "index": 0, "finish_reason": "length"}]  # fmt: skip
    events = [f"data: {json.dumps({**base, 'choices': [piece]})}\n\n".encode() for piece in pieces]
    return [*events, b"data: [DONE]\n\n"]


async def test_a_completion_streams_while_the_engine_still_works(tmp_path: Path) -> None:
    read = []
    heard = asyncio.Event()

    async def script(_seen: Seen, answer: Answer) -> None:
        first, *rest = completion_events()
        await answer.start()
        await answer.chunk(first)
        await heard.wait()
        for event in rest:
            await answer.chunk(event)
        await answer.end()

    async with (
        stack(tmp_path, script, ["completions"]) as (running, _engine),
        for_openai(running) as client,
    ):
        stream = await client.completions.create(model="one", prompt="x", stream=True)
        async for chunk in stream:
            read.append(chunk.choices[0].text)
            assert chunk.model == "one"
            heard.set()

    assert "".join(read) == "Once"


async def test_a_cut_completion_is_no_answer(tmp_path: Path) -> None:
    script = doubles.streams(completion_events()[:2])
    async with (
        stack(tmp_path, script, ["completions"]) as (running, _engine),
        for_openai(running) as client,
    ):
        stream = await client.completions.create(model="one", prompt="x", stream=True)
        with pytest.raises(openai.APIError):
            assert [chunk async for chunk in stream]


@pytest.mark.parametrize("model", ["plain", "text-embedding-3-small"])
async def test_a_name_that_has_no_such_endpoint_is_not_found(tmp_path: Path, model: str) -> None:
    async with (
        stack(tmp_path, doubles.answers(VECTORS), ["embeddings"]) as (running, engine),
        for_openai(running) as client,
    ):
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model=model, input="a")

        assert not engine.seen


async def test_an_endpoint_that_nobody_declares_is_not_found(tmp_path: Path) -> None:
    async with (
        stack(tmp_path, doubles.answers(VECTORS), []) as (running, _engine),
        for_openai(running) as client,
    ):
        with pytest.raises(openai.NotFoundError):
            await client.completions.create(model="one", prompt="x")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[]", "JSON object"), (b"{", "JSON object"), (b"{}", "model:"), (b'{"model": 1}', "model:"),
        (b'{"model": "one", "stream": "no"}', "stream:"), (b'{"model": NaN}', "JSON object"),
    ],
)  # fmt: skip
async def test_a_wrong_body_is_refused(tmp_path: Path, body: bytes, says: str) -> None:
    async with stack(tmp_path, doubles.answers(VECTORS), ["embeddings"]) as (running, _engine):
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers) as client:
            answer = await client.post("/v1/embeddings", content=body)

        assert answer.status_code == 400
        assert says in answer.json()["error"]["message"]


async def test_an_engines_refusal_is_the_callers_answer(tmp_path: Path) -> None:
    script = doubles.answers({"error": "too many inputs at http://secret"}, status=422)
    async with (
        stack(tmp_path, script, ["embeddings"]) as (running, _engine),
        for_openai(running) as client,
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.embeddings.create(model="one", input="a")

        assert "secret" not in str(refused.value)
