"""What was met is remembered: breakers, conversations, budgets."""

from __future__ import annotations

from pathlib import Path

from tests.unit.router import doubles
from tests.unit.router.checked import BROKEN, SOUND, ask, newest, says, stack
from tests.unit.router.doubles import Running


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
