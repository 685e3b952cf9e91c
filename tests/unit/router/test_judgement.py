"""What the router decides, over real sockets: who is asked, what is kept back, what is written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from anvil_ctl.router.dialects.answer import Answer
from anvil_ctl.router.dialects.delta import Text
from anvil_ctl.router.verify.view import Asked, Result, View
from anvil_ctl.router.window import Examiner, UnsoundError
from tests.unit.router import doubles
from tests.unit.router.doubles import TOKEN, Double, Running, Script

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

    async def script(seen: doubles.Seen, answer: doubles.Answer) -> None:
        if seen.json.get("stream"):
            await doubles.streams(events)(seen, answer)
        else:
            await answer.json(whole)

    return script


@asynccontextmanager
async def stack(
    tmp_path: Path,
    *scripts: Script,
    presets: str = "",
    keys: str = "",
    more: dict[str, object] | None = None,
) -> AsyncIterator[tuple[httpx.AsyncClient, Running, list[Double]]]:
    """A router that checks answers, before tiers `a`, `b` and so on."""
    async with AsyncExitStack() as opened:
        engines = [await opened.enter_async_context(doubles.double(each)) for each in scripts]
        ids = "abc"[: len(scripts)]
        tiers = [
            doubles.tier(name, engine.url, "openai", **(more or {}))
            for name, engine in zip(ids, engines, strict=True)
        ]
        pool = json.dumps(list(ids))
        presets = presets or f'chat = {pool}\nplanning = ["a"]\nquick-edit = {pool}'
        text = doubles.config(*tiers, presets=presets, router_keys=keys, verify="cascade")
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


# The commit window


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_unsound_answer_is_dropped_whole_and_the_next_tier_answers(
    tmp_path: Path, path: str, stream: bool
) -> None:
    async with stack(tmp_path, says(BROKEN), says(SOUND)) as (client, _running, engines):
        more = {"input": "hello"} if path == "/v1/responses" else {}
        answer = await ask(client, path=path, stream=stream, **more)
        everything = answer.text + str(answer.headers)

        assert answer.status_code == 200
        assert "LEAK" not in everything
        assert "All" in everything
        assert answer.headers["x-anvil-tier"] == "b"
        assert answer.headers["x-anvil-verdict"] == "allow-with-verify"
        assert answer.headers["x-anvil-substitution"] == "fell-back"
        assert len(engines[0].seen) == 1
        record = await newest(client)
        assert record["failed"] == [["a", "CodeParses"]]
        assert (record["tier"], record["handling"]) == ("b", "full")


async def test_where_every_answer_is_unsound_the_client_gets_one_honest_error(
    tmp_path: Path,
) -> None:
    async with stack(tmp_path, says(BROKEN), says(""), keys="exhaustion_status = 529") as (
        client,
        _running,
        _engines,
    ):
        answer = await ask(client, stream=True)

        assert answer.status_code == 529
        assert answer.headers["content-type"] == "application/json"
        assert "LEAK" not in answer.text + str(answer.headers)
        assert [n for n in answer.headers if n.startswith("x-anvil")] == ["x-anvil-decision-id"]
        record = await newest(client)
        assert record["failed"] == [["a", "CodeParses"], ["b", "NonEmptyContent"]]


@pytest.mark.parametrize("stream", [True, False])
async def test_each_tier_of_a_walk_is_checked_as_its_own_row_says(
    tmp_path: Path, stream: bool
) -> None:
    """Who comes after a trusted tier is not trusted for it, nor a trusted one doubted."""

    def trusted(tier: str) -> str:
        row = {"tier_id": tier, "work_class": "bounded-edit", "decision": "allow",
               "quality_score": 0.9, "sample_n": 9}  # fmt: skip
        profile = {"schema": "anvil-ctl.profile/1", "entries": [row]}
        (tmp_path / f"{tier}.json").write_text(json.dumps(profile))
        return f'profile_path = "{tmp_path}/{tier}.json"'

    scripts = (says(""), says(BROKEN), says(SOUND))
    async with stack(tmp_path, *scripts, keys=trusted("a")) as (client, _running, _engines):
        assert "LEAK" not in (await ask(client, "quick-edit", stream=stream)).text
        record = await newest(client)
        assert record["failed"] == [["a", "NonEmptyContent"], ["b", "CodeParses"]]
        assert (record["tier"], record["handling"]) == ("c", "full")

    async with stack(tmp_path, *scripts, keys=trusted("b")) as (client, _running, _engines):
        assert "LEAK" in (await ask(client, "quick-edit", stream=stream)).text
        record = await newest(client)
        assert record["failed"] == [["a", "NonEmptyContent"]]
        assert (record["tier"], record["handling"]) == ("b", "minimal")


async def test_nothing_is_sent_while_an_answer_is_looked_at_and_then_all_of_it(
    tmp_path: Path,
) -> None:
    half = asyncio.Event()
    go_on = asyncio.Event()
    events = doubles.openai_events({"content": "All is"}, {"content": " well."})

    async def slow(_seen: doubles.Seen, answer: doubles.Answer) -> None:
        await answer.start()
        for event in events[:2]:
            await answer.chunk(event)
        half.set()
        await go_on.wait()
        for event in events[2:]:
            await answer.chunk(event)
        await answer.end()

    async with stack(tmp_path, slow) as (client, _running, _engines):
        asking = asyncio.create_task(ask(client, "a", stream=True))
        await half.wait()
        assert not asking.done()
        go_on.set()
        answer = await asking

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.text.count("data: ") == len(events) - 1  # no usage: nobody asked for it
        assert answer.text.endswith("data: [DONE]\n\n")


async def test_an_answer_over_the_buffers_limit_is_the_next_tiers(tmp_path: Path) -> None:
    keys = "[router.fallback]\nmax_buffer_bytes = 5000\n"
    async with stack(tmp_path, says("x" * 9000), says(SOUND), keys=keys) as (client, _r, _e):
        answer = await ask(client, stream=True)

        assert answer.headers["x-anvil-tier"] == "b"
        assert (await newest(client))["failed"] == [["a", "too_large"]]


async def test_a_stream_that_breaks_off_in_the_window_costs_the_client_nothing(
    tmp_path: Path,
) -> None:
    events = doubles.openai_events({"content": "LEAK"}, done=False)[:-2]
    async with stack(tmp_path, doubles.streams(events), says(SOUND)) as (client, _r, _e):
        answer = await ask(client, stream=True)

        assert answer.headers["x-anvil-tier"] == "b"
        assert "LEAK" not in answer.text


async def test_the_callers_own_limit_is_no_fault_of_the_tier(tmp_path: Path) -> None:
    async with stack(tmp_path, says(SOUND, finish="length")) as (client, _running, _engines):
        assert (await ask(client, "a", max_tokens=3)).status_code == 200
        assert (await ask(client, "a", max_tokens=None)).status_code == 503
        # 3 tokens were made of the 4096 that were allowed: the tier has a limit of its own.
        assert (await ask(client, "a", max_tokens=4096)).status_code == 503


async def test_two_choices_cannot_be_checked(tmp_path: Path) -> None:
    async with stack(tmp_path, says(SOUND)) as (client, _running, engines):
        answer = await ask(client, "a", n=2)

        assert answer.status_code == 400
        assert "n: only one choice" in answer.text
        assert engines[0].seen == []


async def test_a_client_that_leaves_while_its_answer_is_collected_stops_the_engine(
    tmp_path: Path,
) -> None:
    begun = asyncio.Event()

    async def endless(_seen: doubles.Seen, answer: doubles.Answer) -> None:
        await answer.start()
        while True:
            await answer.chunk(doubles.openai_events({"content": "x"})[1])
            begun.set()
            await asyncio.sleep(0.01)

    async with stack(tmp_path, endless) as (client, running, engines):
        asking = asyncio.create_task(ask(client, "a", stream=True))
        await begun.wait()
        asking.cancel()
        await asyncio.wait_for(engines[0].gone.wait(), 5)
        await asyncio.gather(asking, return_exceptions=True)

        assert running.router.status()["tiers"][0]["in_flight"] == 0  # type: ignore[index]


async def test_a_check_that_takes_too_long_has_failed_and_stops_nobody() -> None:
    def slow(_view: View) -> Result:
        released.wait(5)
        return Result("slow")

    import threading

    released = threading.Event()
    answer = Answer()
    answer.extend([Text("x" * 20_000)])
    with pytest.raises(UnsoundError) as raised:
        await Examiner(Asked(), [slow], limit_s=0.05).examine(answer)
    released.set()

    assert raised.value.check == "verifier_timeout"


# Gates


async def test_a_class_that_every_tier_is_denied_gets_the_exhaustion_status(tmp_path: Path) -> None:
    async with stack(tmp_path, says(SOUND), keys="exhaustion_status = 529") as (
        client,
        _r,
        engines,
    ):
        answer = await ask(client, "planning")

        assert answer.status_code == 529
        assert engines[0].seen == []
        record = await newest(client)
        assert (record["work_class"], record["dropped"]) == ("planning", {"a": "denied"})


async def test_a_pinned_tier_that_the_gate_denies_is_refused_by_name_and_nobody_stands_in(
    tmp_path: Path,
) -> None:
    async with stack(tmp_path, says(SOUND), says(SOUND)) as (client, _running, engines):
        for name in ("a", "a-model"):
            answer = await ask(client, name, "plan the migration")
            assert answer.status_code == 503
            assert f"The model {name} is not trusted" in answer.text
            assert "planning" in answer.text

        assert [engine.seen for engine in engines] == [[], []]
        record = await newest(client)
        assert str(record["gate"]).startswith("on: a is denied planning")
        assert (await ask(client, "a", "hello")).status_code == 200


async def test_a_denied_pin_is_redirected_where_the_operator_says_so_and_the_answer_says_it(
    tmp_path: Path,
) -> None:
    presets = 'chat = ["a"]\nreview = ["b"]'
    profile = {"schema": "anvil-ctl.profile/1", "entries": [
        {"tier_id": "b", "work_class": "multi-file-refactor", "decision": "allow",
         "quality_score": 0.9, "sample_n": 9}]}  # fmt: skip
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    keys = f'pin_denied = "redirect"\nprofile_path = "{tmp_path}/profile.json"'
    async with stack(tmp_path, says(SOUND), says(SOUND), presets=presets, keys=keys) as (
        client,
        _running,
        _engines,
    ):
        answer = await ask(client, "a", "refactor the auth module")

        assert answer.headers["x-anvil-tier"] == "b"
        assert answer.headers["x-anvil-substitution"] == "redirected"
        assert answer.headers["x-anvil-verdict"] == "allow"
        assert (await newest(client))["substitution"] == "redirected"


async def test_a_name_that_nobody_has_is_inferred_or_refused_as_the_operator_likes(
    tmp_path: Path,
) -> None:
    async with stack(tmp_path, says(SOUND), says(SOUND)) as (client, _running, _engines):
        answer = await ask(client, "gpt-4o", "fix the typo")
        assert answer.headers["x-anvil-work-class"] == "bounded-edit"
        assert answer.headers["x-anvil-substitution"] == "inferred"

    off = stack(tmp_path, says(BROKEN), says(SOUND), keys="substitution = false")
    async with off as (client, _running, engines):
        assert (await ask(client, "gpt-4o")).status_code == 404
        assert (await ask(client)).status_code == 503
        assert engines[1].seen == []


async def test_what_nobody_can_do_is_said_as_what_it_is(tmp_path: Path) -> None:
    async with stack(tmp_path, says(SOUND), more={"vision": False, "context_limit": 100}) as (
        client,
        _r,
        engines,
    ):
        long = await ask(client, text="word " * 101)
        image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
        picture = await client.post(
            "/v1/chat/completions",
            json={"model": "chat", "messages": [{"role": "user", "content": image}]},
        )

        assert (long.status_code, picture.status_code) == (413, 400)
        assert "Images are unsupported" in picture.text
        assert engines[0].seen == []


async def test_hints_choose_where_the_name_does_not(tmp_path: Path) -> None:
    async with stack(tmp_path, says(SOUND), says(SOUND)) as (client, _running, _engines):
        client.headers["x-anvil-work-class"] = "bounded-edit"
        assert (await ask(client, "x")).headers["x-anvil-work-class"] == "bounded-edit"
        assert (await ask(client, "chat")).headers["x-anvil-work-class"] == "chat"
        client.headers["x-anvil-work-class"] = "planning"
        assert (await ask(client, "x")).status_code == 503


# Breakers, conversations, budgets


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def clocked(running: Running) -> Clock:
    clock = Clock()
    running.router._state.live.experience.clock = clock
    return clock


async def test_a_tier_that_fails_twice_is_left_alone_until_one_request_finds_it_well(
    tmp_path: Path,
) -> None:
    dead = [True]

    async def engine(seen: doubles.Seen, answer: doubles.Answer) -> None:
        if dead:
            answer.cut()
        else:
            await says(SOUND)(seen, answer)

    keys = "[router.policy]\nstickiness = false\n"
    async with stack(tmp_path, engine, says(SOUND), keys=keys) as (client, running, engines):
        clock = clocked(running)
        for _ in range(5):
            assert (await ask(client)).headers["x-anvil-tier"] == "b"
        assert len(engines[0].seen) == 2

        clock.now += 70
        assert (await ask(client)).headers["x-anvil-tiers-tried"] == "a,b"
        assert len(engines[0].seen) == 3

        clock.now += 70
        assert (await ask(client)).headers["x-anvil-tier"] == "b"
        assert len(engines[0].seen) == 3, "a failed probe doubles the wait"

        dead.clear()
        clock.now += 70
        assert (await ask(client)).headers["x-anvil-tier"] == "a"
        assert (await ask(client)).headers["x-anvil-tier"] == "a"


async def test_what_callers_do_wrong_never_takes_a_tier_from_the_others(tmp_path: Path) -> None:
    wrong = [True] * 6

    async def engine(seen: doubles.Seen, answer: doubles.Answer) -> None:
        if wrong:
            wrong.pop()
            await answer.json({"error": {"message": "bad"}}, 400)
        else:
            await says(SOUND)(seen, answer)

    async with stack(tmp_path, engine) as (client, _running, _engines):
        for _ in range(6):
            assert (await ask(client, "a")).status_code == 400

        assert (await ask(client, "a")).status_code == 200


async def test_unsound_edits_take_a_tier_out_of_edits_and_of_nothing_else(tmp_path: Path) -> None:
    bad = [True] * 5

    async def engine(seen: doubles.Seen, answer: doubles.Answer) -> None:
        text = BROKEN if bad else SOUND
        if bad:
            bad.pop()
        await says(text)(seen, answer)

    keys = "[router.policy]\nstickiness = false\n"
    async with stack(tmp_path, engine, says(SOUND), keys=keys) as (client, running, engines):
        clocked(running)
        for _ in range(7):
            assert (await ask(client, "quick-edit")).headers["x-anvil-tier"] == "b"
        assert len(engines[0].seen) == 5

        assert (await ask(client, "chat")).headers["x-anvil-tier"] == "a"


async def test_a_conversation_stays_with_the_tier_that_answered_it(tmp_path: Path) -> None:
    dead = [True]

    async def engine(seen: doubles.Seen, answer: doubles.Answer) -> None:
        if dead:
            dead.pop()
            await answer.json({}, 500)
        else:
            await says(SOUND)(seen, answer)

    async with stack(tmp_path, engine, says(SOUND)) as (client, running, _engines):
        clock = clocked(running)
        assert (await ask(client, text="one")).headers["x-anvil-tier"] == "b"
        assert (await ask(client, text="one")).headers["x-anvil-tier"] == "b"
        assert (await ask(client, text="two")).headers["x-anvil-tier"] == "a"

        clock.now += 601
        assert (await ask(client, text="one")).headers["x-anvil-tier"] == "a"


async def test_a_budget_of_tokens_ends_the_walk(tmp_path: Path) -> None:
    keys = "[router.fallback]\nmax_total_tokens = 40\n"
    async with stack(tmp_path, says(BROKEN), says(SOUND), keys=keys) as (client, _r, engines):
        answer = await ask(client, text="word " * 20)

        assert answer.status_code == 503
        assert engines[1].seen == []
        assert (await newest(client))["budget_stop"] is True
