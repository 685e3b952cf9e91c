"""Who is asked for which work: what the profile denies, and what the operator and the caller say."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.router import doubles
from tests.unit.router.checked import BROKEN, SOUND, ask, newest, says, stack


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


async def test_a_redirected_conversation_stays_with_who_answered_it(tmp_path: Path) -> None:
    broken = [True]

    async def first(seen: doubles.Seen, answer: doubles.Answer) -> None:
        if broken:
            broken.clear()
            answer.cut()
        else:
            await says(SOUND)(seen, answer)

    presets = 'chat = ["a"]\nreview = ["b", "c"]'
    rows = [
        {"tier_id": tier, "work_class": "multi-file-refactor", "decision": "allow",
         "quality_score": 0.9, "sample_n": 9} for tier in ("b", "c")]  # fmt: skip
    profile = {"schema": "anvil-ctl.profile/1", "entries": rows}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    keys = f'pin_denied = "redirect"\nprofile_path = "{tmp_path}/profile.json"'
    engines = (says(SOUND), first, says(SOUND))
    async with stack(tmp_path, *engines, presets=presets, keys=keys) as (client, *_):
        answers = [await ask(client, "a", "refactor the auth module") for _ in range(2)]

        assert [each.headers["x-anvil-tiers-tried"] for each in answers] == ["b,c", "c"]


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
