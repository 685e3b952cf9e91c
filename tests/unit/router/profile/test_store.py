"""Rows: what holds, what a grade changes, what a changed engine puts in doubt."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile.row import Row, Verdict, seeds
from anvil_ctl.router.profile.store import Profile

CHAT, PLANNING = Work.CHAT, Work.PLANNING


def alone(**rows: Row) -> Profile:
    return Profile(
        {("a", Work(name.replace("_", "-"))): row for name, row in rows.items()}, seeded=False
    )


@pytest.mark.parametrize(
    ("tier", "work", "local", "verdict"),
    [
        ("gpu7", Work.CHAT, True, Verdict.VERIFY),
        ("gpu7", Work.PLANNING, True, Verdict.DENY),
        ("gpu7", Work.REFACTOR, True, Verdict.DENY),
        ("gpu7", Work.PLANNING, False, Verdict.ALLOW),
        ("gpu7", None, True, Verdict.ALLOW),
        ("fast-local", Work.LONG, True, Verdict.DENY),
        ("heavy-local", Work.REFACTOR, True, Verdict.VERIFY),
    ],
)
def test_what_holds_before_anybody_measures(
    tier: str, work: Work | None, local: bool, verdict: Verdict
) -> None:
    assert Profile().verdict(tier, work, local=local) is verdict


def test_the_seeds_are_a_tiers_size_and_no_measurement() -> None:
    rows = seeds()

    assert len(rows) == 21
    assert rows["heavy-local", Work.REFACTOR] == Row(Verdict.VERIFY, 0.70, 1)
    assert rows["fast-local", Work.PLANNING].score == 0.20
    assert rows["cloud", Work.PLANNING] == Row(Verdict.ALLOW, 0.95, 1)
    assert not list(Profile().own())


def test_a_stale_row_allows_nothing_and_denies_still() -> None:
    def effective(verdict: Verdict) -> Verdict:
        return Row(verdict, 0.5, 1, stale=True).effective

    assert effective(Verdict.ALLOW) is Verdict.VERIFY
    assert effective(Verdict.VERIFY) is Verdict.VERIFY
    assert effective(Verdict.DENY) is Verdict.DENY


def test_grades_are_averaged_and_change_no_verdict_by_themselves() -> None:
    profile = alone(chat=Row(Verdict.VERIFY, 0.5, 1))

    row = profile.grade("a", CHAT, 1.0, local=True, weight=3)

    assert row == Row(Verdict.VERIFY, 0.875, 4)
    assert profile.grade("a", CHAT, 0.0, local=True, weight=0).score == 0.875
    assert profile.grade("a", CHAT, 1, local=True, verdict=Verdict.ALLOW).verdict is Verdict.ALLOW


def test_the_first_grade_of_a_tier_gives_no_more_trust_than_none_did() -> None:
    profile = Profile(seeded=False)

    assert profile.grade("a", PLANNING, 0.99, local=True).verdict is Verdict.DENY
    assert profile.grade("a", CHAT, 0.99, local=True).verdict is Verdict.VERIFY
    assert profile.grade("c", PLANNING, 0.99, local=False).verdict is Verdict.ALLOW


def test_scores_are_kept_from_0_to_1_and_a_score_that_is_none_is_refused() -> None:
    profile = Profile(seeded=False)
    assert profile.grade("a", CHAT, 7.0, local=True).score == 1.0
    assert profile.grade("b", CHAT, -7.0, local=True).score == 0.0
    with pytest.raises(ValueError, match="0 to 1"):
        profile.grade("a", CHAT, math.nan, local=True)


def test_a_changed_tier_makes_its_rows_stale_and_no_others() -> None:
    profile = Profile(
        {
            ("a", CHAT): Row(Verdict.ALLOW, 0.9, 5, fingerprint="1", identity={"flag": 1}),
            ("a", PLANNING): Row(Verdict.ALLOW, 0.9, 5),
            ("b", CHAT): Row(Verdict.ALLOW, 0.9, 5, fingerprint="1"),
        },
        seeded=False,
    )

    assert profile.apply("a", "2", {"flag": 2}) == [CHAT]
    assert profile.apply("a", "2", {"flag": 2}) == []
    assert profile.verdict("a", CHAT, local=True) is Verdict.VERIFY
    assert profile.stale() == [("a", CHAT)]
    stale, fresh = profile.row("a", CHAT), profile.row("a", PLANNING)
    assert stale is not None
    assert stale.identity == {"flag": 1}
    assert fresh is not None
    assert (fresh.fingerprint, fresh.stale, fresh.identity) == ("2", False, {"flag": 2})


def test_a_doubtful_row_without_a_fingerprint_stays_in_doubt() -> None:
    profile = alone(chat=Row(Verdict.ALLOW, 0.9, 5, stale=True))
    profile.apply("a", "2")

    assert profile.stale() == [("a", CHAT)]


def test_the_first_grade_of_a_changed_tier_begins_a_new_series() -> None:
    profile = alone(chat=Row(Verdict.ALLOW, 0.9, 50, fingerprint="1"))
    profile.apply("a", "2")

    row = profile.grade("a", CHAT, 0.5, local=True, fingerprint="2", identity={"flag": 2})

    assert row == Row(Verdict.ALLOW, 0.5, 1, fingerprint="2", identity={"flag": 2})


def test_a_grade_of_the_tier_as_it_was_changes_nothing() -> None:
    profile = alone(chat=Row(Verdict.ALLOW, 0.9, 50, fingerprint="1"))
    profile.apply("a", "2")
    before = profile.row("a", CHAT)

    assert profile.grade("a", CHAT, 0.1, local=True, fingerprint="1") == before


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grade"), st.floats(0, 1), st.integers(-1, 5)),
        st.tuples(st.just("apply"), st.sampled_from("123"), st.just(0)),
    ),
    max_size=20,
)


@given(STEPS)
def test_whatever_happens_a_row_that_was_not_measured_again_is_never_trusted(
    steps: list[tuple[str, float | str, int]],
) -> None:
    profile = alone(planning=Row(Verdict.ALLOW, 0.9, 5, fingerprint="0"))
    moved = False
    for what, value, weight in steps:
        if what == "apply":
            row = profile.row("a", PLANNING)
            assert row is not None
            moved = moved or row.fingerprint != value
            profile.apply("a", str(value))
        else:
            profile.grade("a", PLANNING, float(value), local=True, weight=weight)
            moved = False
        row = profile.row("a", PLANNING)
        assert row is not None
        assert 0 <= row.score <= 1
        assert row.samples >= 1
        assert not moved or profile.verdict("a", PLANNING, local=True) is Verdict.VERIFY
