"""Who has just failed is left alone for a while, and one request finds out whether it's back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from anvil_ctl.router.judgement.breaker import Breakers, Limits, State
from anvil_ctl.router.judgement.work import Work

EDIT, CHAT = Work.EDIT, Work.CHAT


def steady() -> float:
    return 0.0


def breakers(**more: float) -> Breakers:
    return Breakers(Limits(**more), steady)  # type: ignore[arg-type]


def down(made: Breakers, now: float = 0.0) -> Breakers:
    made.failed("a", now)
    made.failed("a", now)
    return made


def test_two_failures_in_a_row_open_the_circuit_for_every_class() -> None:
    made = breakers()
    made.failed("a", 0)
    assert made.enter("a", CHAT, 1)

    made.failed("a", 1)

    assert not made.enter("a", CHAT, 2)
    assert not made.enter("a", EDIT, 60.9)
    assert made.enter("b", CHAT, 2)


def test_a_success_between_two_failures_keeps_it_closed() -> None:
    made = breakers()
    made.failed("a", 0)
    made.succeeded("a", CHAT)
    made.failed("a", 1)

    assert made.enter("a", CHAT, 2)


def test_after_the_cooldown_one_request_probes_and_the_others_wait() -> None:
    made = down(breakers())

    assert made.enter("a", CHAT, 60)
    assert not made.enter("a", CHAT, 60)
    assert made.state("a", CHAT, 61) is State.PROBING

    made.succeeded("a", CHAT)
    assert made.enter("a", CHAT, 61)
    assert made.enter("a", CHAT, 61)


def test_looking_takes_no_probe() -> None:
    made = down(breakers())
    for _ in range(5):
        assert made.state("a", CHAT, 60) is State.CLOSED
        assert made.transport("a", 60) is State.CLOSED

    assert made.enter("a", CHAT, 60)


def test_a_failed_probe_doubles_the_wait_up_to_five_minutes() -> None:
    made = down(breakers())
    now, waits = 0.0, []
    for _ in range(5):
        wait = next(s for s in range(1000) if made.enter("a", CHAT, now + s))
        waits.append(wait)
        now += wait
        made.failed("a", now)

    assert waits == [60, 120, 240, 300, 300]


def test_a_probe_that_nobody_reports_on_expires_and_one_that_is_given_back_is_free_at_once() -> (
    None
):
    made = down(breakers())
    assert made.enter("a", CHAT, 60)
    assert not made.enter("a", CHAT, 119)
    assert made.enter("a", CHAT, 120)

    made.release("a", CHAT)

    assert made.enter("a", CHAT, 120)


def test_who_asks_to_be_left_alone_longer_is() -> None:
    made = breakers()
    made.failed("a", 0)
    made.failed("a", 0, at_least=200)

    assert not made.enter("a", CHAT, 199)
    assert made.enter("a", CHAT, 200)


def test_unsound_answers_close_a_tier_for_their_class_alone_and_only_when_five_come_in_a_minute() -> (
    None
):
    made = breakers()
    for now in (0, 10, 20, 30):
        made.unsound("a", EDIT, now)
    made.unsound("a", EDIT, 70)
    assert made.enter("a", EDIT, 70)

    made.unsound("a", EDIT, 71)
    made.unsound("a", EDIT, 72)
    made.unsound("a", EDIT, 73)

    assert not made.enter("a", EDIT, 74)
    assert made.enter("a", CHAT, 74)


def test_an_unsound_answer_proves_that_the_tier_can_be_reached() -> None:
    made = breakers()
    made.failed("a", 0)
    made.unsound("a", EDIT, 1)
    made.failed("a", 2)

    assert made.enter("a", CHAT, 3)


@given(st.floats(0, 1))
def test_jitter_only_lengthens_and_by_a_tenth_at_most(jitter: float) -> None:
    made = down(Breakers(Limits(), lambda: jitter))

    assert not made.enter("a", CHAT, 59.9)
    assert made.enter("a", CHAT, 66)


class Traffic(RuleBasedStateMachine):
    """Whatever happens in whatever order: no tier is shut out for ever, none is probed twice."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Breakers(Limits(), steady)
        self.now = 0.0
        self.probing = 0

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(work=st.sampled_from([EDIT, CHAT]), ends=st.sampled_from("sfur"))
    def a_request(self, work: Work, ends: str) -> None:
        if not self.made.enter("a", work, self.now):
            return
        if ends == "s":
            self.made.succeeded("a", work)
        elif ends == "f":
            self.made.failed("a", self.now)
        elif ends == "u":
            self.made.unsound("a", work, self.now)
        else:
            self.made.release("a", work)

    @invariant()
    def it_opens_again_in_time(self) -> None:
        assert self.made.state("a", EDIT, self.now + 400) is State.CLOSED


TestTraffic = Traffic.TestCase
