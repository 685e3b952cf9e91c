"""A caller who waits for so long and no longer, and the tiers that are not blamed for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from anvil_ctl.router.deadline import NEVER, Deadline, deadline
from anvil_ctl.router.dialects.call import BadRequestError
from anvil_ctl.upstream.response import Deadlines
from tests.unit.router import doubles
from tests.unit.router.asking import ASK, CHAT, FINE, TEXT, WHOLE, asker, hang, settled
from tests.unit.router.doubles import Answer, Seen

MESSAGES = {"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
SHORT = {"x-anvil-deadline-ms": "300"}


async def pause_in_the_middle(_seen: Seen, answer: Answer) -> None:
    await answer.start()
    for each in TEXT[:2]:
        await answer.chunk(each)
    await asyncio.Event().wait()


@pytest.mark.parametrize("said", ["0", "-1", "1.5", "soon", "", "99999999", "٣"])
def test_what_is_no_number_of_milliseconds_is_refused(said: str) -> None:
    with pytest.raises(BadRequestError, match="x-anvil-deadline-ms: a whole number"):
        deadline(said, 0, 0)


def test_the_earlier_of_the_two_counts() -> None:
    assert deadline(None, 0, 100) is NEVER
    assert deadline(None, 9, 100) == Deadline(109)
    assert deadline("2000", 9, 100) == Deadline(102)
    assert deadline("20000", 9, 100) == Deadline(109)


def test_no_limit_of_an_upstream_goes_beyond_it() -> None:
    until = Deadline(time.monotonic() + 3)
    found = until.within(Deadlines(5, 20, 20, 600))

    assert found.connect_s == pytest.approx(3, abs=0.5)
    assert found.first_byte_s == pytest.approx(3, abs=0.5)
    assert found.total_s == pytest.approx(3, abs=0.5)
    assert Deadline(0).within(Deadlines()).total_s == 0


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (CHAT, {**ASK, "stream": False}, "timeout"),
        (CHAT, {**ASK, "stream": True}, "timeout"),
        ("/v1/messages", MESSAGES, "timeout_error"),
    ],
)
async def test_an_engine_that_is_too_slow_for_the_caller_is_given_up_and_not_blamed(
    tmp_path: Path, path: str, body: dict[str, object], kind: str
) -> None:
    async with doubles.double(hang) as slow, doubles.double(FINE) as other:
        tiers = doubles.tier("slow", slow.url), doubles.tier("other", other.url)
        text = doubles.config(*tiers, presets='chat = ["slow", "other"]')
        async with doubles.router(tmp_path / "r.toml", text) as running, asker(running.url) as user:
            for _ in range(3):  # one more than opens a breaker
                began = time.monotonic()
                answer = await user.post(path, json=body, headers=SHORT)

                assert (answer.status_code, answer.json()["error"]["type"]) == (504, kind)
                assert 0.2 < time.monotonic() - began < 3
            assert not other.seen
            (row, _) = (await user.get("/v1/status")).json()["tiers"]
            assert row["circuit"] == "closed"


async def test_a_stream_that_is_still_running_by_then_is_cut(tmp_path: Path) -> None:
    async with doubles.double(pause_in_the_middle) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with doubles.router(tmp_path / "r.toml", text) as running, asker(running.url) as user:
            with pytest.raises(httpx.RemoteProtocolError):
                await user.post(CHAT, json={**ASK, "stream": True}, headers=SHORT)
            (row,) = (await user.get("/v1/status")).json()["tiers"]
            assert row["circuit"] == "closed"


async def test_who_waits_for_the_mode_to_change_waits_no_longer_either(tmp_path: Path) -> None:
    async with doubles.double(FINE) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with doubles.router(tmp_path / "r.toml", text) as running, asker(running.url) as user:
            running.hold.hold("switch", 30)
            answer = await user.post(CHAT, json={**ASK, "stream": False}, headers=SHORT)

            assert answer.status_code == 504
            assert (running.hold.waiting, running.hold.in_flight) == (0, 0)
            assert not engine.seen


async def test_a_turn_at_a_busy_tier_is_waited_for_no_longer_either(tmp_path: Path) -> None:
    async with doubles.double(hang) as engine:
        one = doubles.tier("a", engine.url, max_concurrency=1)
        text = doubles.config(one, presets='chat = ["a"]')
        async with doubles.router(tmp_path / "r.toml", text) as running, asker(running.url) as user:
            first = asyncio.create_task(user.post(CHAT, json=ASK, headers={**SHORT}))
            await settled(running, in_flight=1, used=1)
            began = time.monotonic()
            second = await user.post(CHAT, json=ASK, headers={"x-anvil-deadline-ms": "100"})

            assert second.status_code == 504
            assert time.monotonic() - began < 0.25
            assert (await first).status_code == 504
            assert len(engine.seen) == 1


async def test_the_configuration_sets_one_for_everybody(tmp_path: Path) -> None:
    async with doubles.double(hang) as engine:
        text = doubles.config(
            doubles.tier("a", engine.url),
            presets='chat = ["a"]',
            router_keys="[router.fallback]\ndeadline = 0.2\n",
        )
        async with doubles.router(tmp_path / "r.toml", text) as running, asker(running.url) as user:
            assert (await user.post(CHAT, json=ASK)).status_code == 504


async def test_what_is_in_time_is_answered_and_its_record_says_how_long_it_took(
    tmp_path: Path,
) -> None:
    async with doubles.double(doubles.answers(WHOLE)) as engine:
        text = doubles.config(doubles.tier("a", engine.url), presets='chat = ["a"]')
        async with doubles.router(tmp_path / "r.toml", text) as running, asker(running.url) as user:
            body = {**ASK, "stream": False}
            bad = await user.post(CHAT, json=body, headers={"x-anvil-deadline-ms": "soon"})
            good = await user.post(CHAT, json=body, headers={"x-anvil-deadline-ms": "60000"})
            (record,) = (await user.get("/v1/decisions")).json()["data"]

            assert (bad.status_code, good.status_code) == (400, 200)
            assert record["queue_ms"] >= 0
            assert record["upstream_ms"] > 0


async def test_a_tier_that_never_answers_so_fast_is_passed_over(tmp_path: Path) -> None:
    """What is left of the time is for a tier that can keep it; without one, nobody waits it out."""
    async with (
        doubles.double(doubles.answers(WHOLE)) as slow,
        doubles.double(doubles.answers(WHOLE)) as quick,
    ):
        text = doubles.config(
            doubles.tier("slow", slow.url),
            doubles.tier("quick", quick.url),
            presets='chat = ["slow", "quick"]\nreview = ["slow"]',
        )
        async with (
            doubles.router(tmp_path / "r.toml", text) as running,
            asker(running.url) as client,
        ):
            experience = running.router._state.live.experience
            for _ in range(8):
                experience.pace.served("slow", 60.0, experience.clock())
            patience = {"x-anvil-deadline-ms": "30000"}
            said = {**ASK, "stream": False}
            passed = await client.post(CHAT, json=said, headers=patience)
            (record,) = (await client.get("/v1/decisions?limit=1")).json()["data"]
            refused = await client.post(CHAT, json={**said, "model": "review"}, headers=patience)
            waited = await client.post(CHAT, json={**said, "model": "review"})

    assert passed.headers["x-anvil-tier"] == "quick"
    assert record["too_slow"] == ["slow"]
    assert refused.status_code == 504
    # Who can wait is answered, and one fast answer is enough to be asked again.
    assert waited.status_code == 200
    assert len(slow.seen) == 1
    assert experience.pace.least("slow", experience.clock()) < 30
