"""The commit window: an answer is looked at whole before any of it is sent."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from anvil_ctl.router.dialects.answer import Answer
from anvil_ctl.router.dialects.delta import Text
from anvil_ctl.router.verify.view import Asked, Result, View
from anvil_ctl.router.window import Examiner, UnsoundError
from tests.unit.router import doubles
from tests.unit.router.checked import BROKEN, SOUND, ask, newest, says, stack


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


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_is_noticed_though_an_anthropic_caller_always_sets_a_limit(
    tmp_path: Path, stream: bool
) -> None:
    cut = says(SOUND, finish="length")
    async with stack(tmp_path, cut, says("All of it.")) as (client, _running, _engines):
        answer = await ask(client, path="/v1/messages", max_tokens=4096, stream=stream)

        assert answer.status_code == 200
        assert answer.headers["x-anvil-tier"] == "b"
        assert (await newest(client))["failed"] == [["a", "NotTruncated"]]
        # At the limit it is what the caller asked for, and told as such.
        answer = await ask(client, "a", path="/v1/messages", max_tokens=3, stream=stream)
        assert answer.headers["x-anvil-tier"] == "a"
        assert '"stop_reason":"max_tokens"' in answer.text.replace('": "', '":"')


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

    released = threading.Event()
    answer = Answer()
    answer.extend([Text("x" * 20_000)])
    with pytest.raises(UnsoundError) as raised:
        await Examiner(Asked(), [slow], limit_s=0.05).examine(answer)
    released.set()

    assert raised.value.check == "verifier_timeout"
