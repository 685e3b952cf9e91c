"""The engine double itself: what the tests of the router and of the clients rest on."""

from __future__ import annotations

import asyncio

import anthropic
import httpx
import openai
import pytest

from tests.double.engine import Call, Engine, Turn, scripted
from tests.double.prefix import tokens
from tests.double.server import double

CALLS = (Call("weather", {"city": "Oslo"}), Call("clock", {}))
TURN = Turn("Let me look there.", CALLS, thinking="Weather and time are asked for.")
HELLO = [{"role": "user", "content": "Hello."}]
BOTH = pytest.mark.parametrize("stream", [False, True])


async def test_it_is_unavailable_until_it_has_loaded() -> None:
    engine = Engine("small", scripted(TURN), loaded=False)
    async with double(engine) as at, httpx.AsyncClient(base_url=at.url) as client:
        assert (await client.get("/health")).status_code == 503

        engine.loaded = True

        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/v1/models")).json()["data"] == [{"id": "small"}]


async def test_it_refuses_another_model_and_another_path() -> None:
    async with (
        double(Engine("small", scripted(TURN))) as at,
        httpx.AsyncClient(base_url=at.url) as client,
    ):
        other = {"model": "large", "messages": HELLO}
        assert (await client.post("/v1/chat/completions", json=other)).status_code == 404
        assert (await client.post("/v1/embeddings", json=other)).status_code == 404


async def test_openai_clients_get_the_same_turn_streamed_and_whole() -> None:
    async with (
        double(Engine("small", scripted(TURN))) as at,
        openai.AsyncOpenAI(base_url=f"{at.url}/v1", api_key="none", max_retries=0) as client,
    ):
        ask = client.chat.completions
        whole = (
            await ask.create(model="small", messages=[{"role": "user", "content": "?"}])
        ).choices
        async with ask.stream(model="small", messages=[{"role": "user", "content": "?"}]) as stream:
            streamed = (await stream.get_final_completion()).choices

    for [choice] in (whole, streamed):
        calls = choice.message.tool_calls or []
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "Let me look there."
        assert [each.function.arguments for each in calls if each.type == "function"] == [
            '{"city": "Oslo"}',
            "{}",
        ]


@BOTH
async def test_anthropic_clients_get_the_same_turn_streamed_and_whole(stream: bool) -> None:
    async with (
        double(Engine("small", scripted(TURN))) as at,
        anthropic.AsyncAnthropic(base_url=at.url, api_key="none", max_retries=0) as client,
    ):
        asked = client.messages
        if stream:
            async with asked.stream(
                model="small", max_tokens=9, messages=[{"role": "user", "content": "?"}]
            ) as events:
                final: anthropic.types.Message = await events.get_final_message()
        else:
            final = await asked.create(
                model="small", max_tokens=9, messages=[{"role": "user", "content": "?"}]
            )

    kinds = ["thinking", "text", "tool_use", "tool_use"]
    assert [block.type for block in final.content] == kinds
    assert [block.input for block in final.content if block.type == "tool_use"] == [
        {"city": "Oslo"},
        {},
    ]
    assert final.stop_reason == "tool_use"


async def test_each_answer_in_a_conversation_is_the_next_turn_under_its_own_id() -> None:
    engine = Engine("small", scripted(TURN, Turn("Rain.")))
    said = {"role": "assistant", "content": "Let me look there."}
    async with double(engine) as at, httpx.AsyncClient(base_url=at.url) as client:
        first = await client.post(
            "/v1/messages", json={"model": "small", "messages": HELLO, "max_tokens": 9}
        )
        second = await client.post(
            "/v1/messages", json={"model": "small", "messages": [*HELLO, said], "max_tokens": 9}
        )

    assert second.json()["content"] == [{"type": "text", "text": "Rain."}]
    assert first.json()["id"] != second.json()["id"]


async def test_its_cache_finds_what_two_prompts_share_from_their_beginning() -> None:
    engine = Engine("small", lambda _body: Turn("Yes."))
    more = [*HELLO, {"role": "assistant", "content": "Yes."}, *HELLO]
    other = [{"role": "system", "content": "17"}, *more]
    async with double(engine) as at, httpx.AsyncClient(base_url=at.url) as client:
        usages = [
            (await client.post("/v1/chat/completions", json={"model": "small", "messages": each}))
            .json()["usage"]
            for each in (HELLO, more, other)
        ]  # fmt: skip

    given = [each["prompt_tokens"] for each in usages]
    cached = [each["prompt_tokens_details"]["cached_tokens"] for each in usages]
    assert given == [len(tokens({"messages": each})) for each in (HELLO, more, other)]
    assert cached[:2] == [0, given[0]]
    assert cached[2] < given[0]


async def test_a_mark_of_where_to_cache_is_no_part_of_a_prompt() -> None:
    text = {"type": "text", "text": "Hello."}
    marked = {**text, "cache_control": {"type": "ephemeral"}}

    plain, other = ({"messages": [{"role": "user", "content": [each]}]} for each in (text, marked))

    assert tokens(plain) == tokens(other)


async def test_a_held_turn_begins_and_ends_when_its_client_leaves() -> None:
    engine = Engine("small", scripted(Turn("Once upon a time there was a river.", held=True)))
    body = {"model": "small", "messages": HELLO, "stream": True}
    async with double(engine) as at:
        async with (
            httpx.AsyncClient(base_url=at.url) as client,
            client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            assert (await anext(response.aiter_lines())).startswith("data: ")
            assert not at.gone.is_set()

        await asyncio.wait_for(at.gone.wait(), 1)
