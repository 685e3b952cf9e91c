"""A router's profile: where it comes from, what makes it stale, and what is written back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anvil_ctl.errors import AnvilError, ConfigError
from anvil_ctl.router import config as configs
from anvil_ctl.router.config import Config
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile.keeper import open_profile
from anvil_ctl.router.profile.row import Verdict
from tests.unit.router import asking, doubles

URL = "http://127.0.0.1:9"


def configured(folder: Path, keys: str = 'state_path = "state"\n', params: str = "") -> Config:
    tier = doubles.tier("a", URL) + (f"params = {params}\n" if params else "")
    text = doubles.config(tier, router_keys=keys)
    (folder / "router.toml").write_text(text)
    return configs.load(folder / "router.toml")


def row(config: Config, work: str = "planning") -> dict[str, object]:
    lines = open_profile(config).table()
    return next(line for line in lines if line["work_class"] == work)


async def test_a_verdict_is_written_and_holds_after_a_restart(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert row(config)["verdict"] == "deny"

    keeper = open_profile(config)
    await keeper.grade(config.tiers[0], Work.PLANNING, score=None, verdict=Verdict.ALLOW)

    again = row(config)
    assert (again["verdict"], again["origin"], again["stale"]) == ("allow", "profile", False)
    (entry,) = json.loads((tmp_path / "state" / "profile.json").read_text())["entries"]
    assert (entry["decision"], entry["mode_name"]) == ("allow", "agentic")


async def test_a_changed_flag_makes_what_was_allowed_stale_and_is_named(tmp_path: Path) -> None:
    before = configured(tmp_path, params='{command = ["-c", "8192"], image = "one"}')
    await open_profile(before).grade(
        before.tiers[0], Work.PLANNING, score=0.9, verdict=Verdict.ALLOW
    )

    after = row(configured(tmp_path, params='{command = ["-c", "4096"], image = "one"}'))

    assert (after["verdict"], after["stored_verdict"]) == ("allow-with-verify", "allow")
    assert after["stale"] is True
    assert after["why"] == ["params.command: 8192 -> 4096"]


async def test_a_grade_keeps_the_doubts_about_other_rows(tmp_path: Path) -> None:
    before = configured(tmp_path, params="{flag = 1}")
    keeper = open_profile(before)
    for work in (Work.PLANNING, Work.REVIEW):
        await keeper.grade(before.tiers[0], work, score=0.9, verdict=Verdict.ALLOW)

    after = configured(tmp_path, params="{flag = 2}")
    await open_profile(after).grade(after.tiers[0], Work.REVIEW, score=0.8, verdict=None)

    assert row(after, "planning")["stale"] is True
    assert (row(after, "review")["stale"], row(after, "review")["score"]) == (False, 0.8)


def test_an_engine_that_serves_another_model_is_another_tier(tmp_path: Path) -> None:
    config = configured(tmp_path)
    tier = config.tiers[0]
    keeper = open_profile(config)

    assert keeper.seen(tier, "a-model") == []
    assert keeper.seen(tier, "other") == []  # nothing was measured that could be in doubt

    keeper = open_profile(config)
    keeper.profile.grade("a", Work.CHAT, 0.9, local=True, verdict=Verdict.ALLOW)
    keeper.refresh()
    assert keeper.seen(tier, "other") == [Work.CHAT]


@pytest.mark.parametrize("content", [None, "{}", '{"schema": "x", "entries": []}'])
def test_a_named_profile_that_is_not_there_or_wrong_stops_the_router(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "p.json").write_text(content)
    config = configured(tmp_path, keys='profile_path = "p.json"\n')

    with pytest.raises(ConfigError, match=r"profile_path: .*p\.json"):
        open_profile(config)


async def test_without_a_place_to_write_a_grade_says_so(tmp_path: Path) -> None:
    config = configured(tmp_path, keys="")

    with pytest.raises(AnvilError, match="neither profile_path nor state_path"):
        await open_profile(config).grade(config.tiers[0], Work.CHAT, score=1, verdict=None)


# over the admin's socket


async def test_the_administrator_sees_rows_and_sets_one(tmp_path: Path) -> None:
    text = doubles.config(doubles.tier("a", URL), router_keys='state_path = "state"\n')
    async with (
        doubles.router(tmp_path / "r.toml", text) as running,
        asking.admin(running) as admin,
    ):
        said = {"tier": "a", "work_class": "planning", "verdict": "allow-with-verify"}
        assert (await admin.post("/admin/profile", json=said)).json()[
            "verdict"
        ] == "allow-with-verify"
        told = (await admin.get("/admin/profile")).json()

        assert told["source"].endswith("state/profile.json")
        verdicts = {each["work_class"]: each["verdict"] for each in told["rows"]}
        assert verdicts["planning"] == "allow-with-verify"
        assert verdicts["multi-file-refactor"] == "deny"
        assert (await admin.get("/admin/profile", headers={"authorization": ""})).status_code == 401


async def test_a_grade_of_a_tier_that_has_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    text = doubles.config(doubles.tier("a", URL), router_keys='state_path = "state"\n')
    async with (
        doubles.router(tmp_path / "r.toml", text) as running,
        asking.admin(running) as admin,
    ):
        row = (await admin.get("/admin/profile")).json()["rows"][0]
        said = {key: row[key] for key in ("tier", "work_class", "fingerprint")}
        fine = await admin.post("/admin/profile", json={**said, "score": 0.9})
        live = running.router._state.live
        live.keeper.seen(live.config.tier("a"), "another-model")
        late = await admin.post("/admin/profile", json={**said, "score": 0.1})
        now = (await admin.get("/admin/profile")).json()["rows"][0]

    assert fine.status_code == 200
    assert late.status_code == 400
    assert "no longer what was graded" in late.text
    assert (now["score"], now["stale"]) == (0.9, True)
    assert now["fingerprint"] != row["fingerprint"]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"tier": "a", "work_class": "planning"}, "a verdict or a score"),
        ({"tier": "z", "work_class": "planning", "score": 1}, "'z'"),
        ({"tier": "a", "work_class": "poetry", "score": 1}, "poetry"),
        ({"tier": "a", "work_class": "chat", "verdict": "Allow"}, "Allow"),
        ({"tier": "a", "work_class": "chat", "score": 1, "more": 1}, "more"),
        ([], "object"),
    ],
)
async def test_a_wrong_grade_is_refused(tmp_path: Path, said: object, says: str) -> None:
    text = doubles.config(doubles.tier("a", URL), router_keys='state_path = "state"\n')
    async with (
        doubles.router(tmp_path / "r.toml", text) as running,
        asking.admin(running) as admin,
    ):
        answer = await admin.post("/admin/profile", json=said)

        assert answer.status_code == 400
        assert says in answer.json()["error"]["message"]
        assert not (tmp_path / "state").exists()


async def test_a_reload_takes_the_new_profile_or_keeps_the_old(tmp_path: Path) -> None:
    profile = tmp_path / "p.json"

    def rows(decision: str) -> str:
        entry = {"tier_id": "a", "work_class": "planning", "decision": decision,
                 "quality_score": 0.9, "sample_n": 9}  # fmt: skip
        return json.dumps({"schema": "anvil-ctl.profile/1", "entries": [entry]})

    profile.write_text(rows("allow"))
    text = doubles.config(doubles.tier("a", URL), router_keys='profile_path = "p.json"\n')
    async with (
        doubles.router(tmp_path / "r.toml", text) as running,
        asking.admin(running) as admin,
    ):

        async def verdict() -> str:
            told = (await admin.get("/admin/profile")).json()["rows"]
            return str(next(r["verdict"] for r in told if r["work_class"] == "planning"))

        assert await verdict() == "allow"
        profile.write_text(rows("deny"))
        assert (await admin.post("/admin/reload")).status_code == 200
        assert await verdict() == "deny"

        profile.write_text("{")
        refused = await admin.post("/admin/reload")
        assert refused.status_code == 400
        assert "profile_path" in refused.text
        assert await verdict() == "deny"
