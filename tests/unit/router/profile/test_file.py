"""profile.json: read strictly, written whole, the same bytes for the same rows."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from anvil_ctl.errors import ConfigError
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile import file as files
from anvil_ctl.router.profile.file import SCHEMA, dump, load, parse, write
from anvil_ctl.router.profile.row import Row, Verdict
from anvil_ctl.router.profile.store import Profile

PATH = Path("profile.json")
ROW = Row(Verdict.ALLOW, 0.9, 9, "2026-07-01", True, "anvil1:x", {"flag": ["-c", "1"]})


def entry(**more: object) -> dict[str, object]:
    return {"tier_id": "a", "work_class": "chat", "decision": "allow", "quality_score": 0.9,
            "sample_n": 9, **more}  # fmt: skip


def written(*entries: dict[str, object], schema: str = SCHEMA) -> bytes:
    return json.dumps({"schema": schema, "entries": list(entries)}).encode()


def read(*entries: dict[str, object], mode: str = "agentic") -> Profile:
    return parse(written(*entries), PATH, mode, ["a", "b"], seeded=False).profile


def test_what_is_written_is_read_again_with_its_doubts() -> None:
    profile = Profile({("a", Work.CHAT): ROW, ("a", None): ROW}, seeded=False)

    data = dump(profile, "agentic", None, "7")
    again = parse(data, PATH, "agentic", ["a"], seeded=False)

    assert dict(again.profile) == dict(profile)
    assert again.file.mapping_version == "7"
    assert dump(again.profile, "agentic", again.file, "7") == data


def test_the_seeds_are_not_written() -> None:
    profile = Profile()
    profile.grade("fast-local", Work.CHAT, 1.0, local=True)

    entries = json.loads(dump(profile, "agentic", None, "1"))["entries"]

    assert [(each["tier_id"], each["work_class"]) for each in entries] == [("fast-local", "chat")]


def test_rows_of_another_mode_do_not_hold_and_are_not_lost() -> None:
    data = written(
        entry(mode_name="agentic", sample_n=1), entry(mode_name="flexibility", sample_n=2)
    )
    loaded = parse(data, PATH, "flexibility", ["a"], seeded=False)

    assert [row.samples for _key, row in loaded.profile] == [2]
    again = json.loads(dump(loaded.profile, "flexibility", loaded.file, "1"))["entries"]
    assert [(each["mode_name"], each["sample_n"]) for each in again] == [
        ("agentic", 1),
        ("flexibility", 2),
    ]


def test_a_row_of_the_mode_comes_before_one_of_any_mode_whichever_is_first() -> None:
    own, general = entry(mode_name="agentic", sample_n=1), entry(sample_n=2)

    for entries in ((own, general), (general, own)):
        assert [row.samples for _key, row in read(*entries)] == [1]


def test_what_whoever_measured_wrote_is_kept() -> None:
    data = written(
        entry(source_evals=["2026-07-planning"], model_label="heavy", eval_total_avg=22.5)
    )
    loaded = parse(data, PATH, "agentic", ["a"], seeded=False)
    (again,) = json.loads(dump(loaded.profile, "agentic", loaded.file, "1"))["entries"]

    assert again["source_evals"] == ["2026-07-planning"]
    assert (again["model_label"], again["eval_total_avg"]) == ("heavy", 22.5)


def test_older_formats_are_read_and_a_foreign_fingerprint_is_a_doubt() -> None:
    data = written(entry(fingerprint="0" * 64), entry(work_class="review"),
                   schema="anvil-serving.router.profile_bootstrap/v2")  # fmt: skip
    profile = parse(data, PATH, "agentic", ["a"], seeded=False).profile

    assert profile.verdict("a", Work.CHAT, local=True) is Verdict.VERIFY
    assert profile.verdict("a", Work.REVIEW, local=True) is Verdict.ALLOW


def test_a_tier_that_is_not_configured_is_warned_about() -> None:
    loaded = parse(written(entry(tier_id="gone")), PATH, "agentic", ["a"])

    assert loaded.warnings == ("profile.json: the configuration has no tier 'gone'",)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no profile"),
        (b"[]", "is no profile"),
        (written(schema="other/1"), "has schema 'other/1'"),
        (written(entry(decision="Allow")), "entry 0: decision 'Allow'"),
        (written(entry(), entry(work_class="poetry")), "entry 1: work_class 'poetry'"),
        (written(entry(quality_score=1.5)), "entry 0: quality_score 1.5"),
        (written(entry(quality_score="x")), "entries[0].quality_score"),
        (written(entry(sample_n=-1)), "entry 0: sample_n -1"),
        (written(entry(), entry()), "entries 0 and 1 are about the same"),
        (written({"tier_id": "a"}), "entries[0]"),
    ],
)
def test_what_is_wrong_is_said_with_its_row_and_the_remedy(data: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(data, PATH, "agentic", ["a"])

    assert says in raised.value.message
    assert raised.value.message.startswith("profile_path: profile.json")
    assert "regenerate" in raised.value.hint
    assert "take profile_path out" in raised.value.hint


def test_a_missing_file_is_an_error_and_never_the_seeds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.json", "agentic", ["a"])


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "profile.json"
    write(path, b"one")
    write(path, b"two")

    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["profile.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.mkdir()
    with pytest.raises(OSError, match=r"directory|exists"):
        files.write(path, b"x")

    assert [each.name for each in tmp_path.iterdir()] == ["profile.json"]
