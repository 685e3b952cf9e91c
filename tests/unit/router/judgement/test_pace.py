"""What a tier needs at the least, as far as that is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.router.judgement.pace import Pace


def paced(*took: float) -> Pace:
    pace = Pace()
    for each in took:
        pace.served("a", each, 0)
    return pace


def test_a_few_answers_say_nothing_and_eight_say_the_shortest() -> None:
    assert paced(*[3.0] * 7).least("a", 0) == 0
    assert paced(*[3.0] * 7, 2.0).least("a", 0) == 2.0
    assert paced(*[3.0] * 8).least("b", 0) == 0


def test_what_is_long_ago_is_forgotten() -> None:
    pace = paced(*[3.0] * 8)

    assert pace.least("a", 299) == 3.0
    assert pace.least("a", 300) == 0


def test_only_the_last_answers_count() -> None:
    assert paced(1.0, *[3.0] * 31).least("a", 0) == 1.0
    assert paced(1.0, *[3.0] * 32).least("a", 0) == 3.0


@given(st.lists(st.floats(0, 1000), min_size=8, max_size=32), st.floats(0, 299))
def test_nobody_is_said_to_be_slower_than_they_have_been(took: list[float], now: float) -> None:
    assert paced(*took).least("a", now) == min(took)
