"""A look ends in time, whatever hangs, and what it could not have is known to be unknown."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from anvil_ctl.doctor.looking import Looking, Wanted
from anvil_ctl.doctor.survey import NOT_LOOKED, Look, Unknown
from anvil_ctl.errors import AnvilError
from tests.unit.doctor.surveys import healthy


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as found:
        yield found


def looking(pool: ThreadPoolExecutor, *looks: Look, seconds: float = 30) -> Looking:
    return Looking(healthy(), Wanted(frozenset(looks)), pool, time.monotonic() + seconds)


def test_what_hangs_is_unknown_when_the_time_is_up(pool: ThreadPoolExecutor) -> None:
    hangs = threading.Event()
    look = looking(pool, Look.CARDS, seconds=0)

    answer = look._have(look._ask(Look.CARDS, hangs.wait))
    hangs.set()

    assert answer == Unknown("no answer in the time for all checks")


def test_what_is_not_wanted_is_not_looked_at(pool: ThreadPoolExecutor) -> None:
    look = looking(pool, Look.CARDS)

    assert look._have(look._ask(Look.IMAGES, lambda: "never asked")) == NOT_LOOKED


def test_a_failure_to_look_is_an_answer_with_its_reason(pool: ThreadPoolExecutor) -> None:
    def fails() -> str:
        raise AnvilError("permission denied", hint="log in again")

    look = looking(pool, Look.CARDS)

    assert look._have(look._ask(Look.CARDS, fails)) == Unknown("permission denied", "log in again")
    assert "could not be read" in str(look._have(look._ask(Look.CARDS, lambda: int("x"))))


def test_without_a_daemon_nothing_is_asked_of_it(pool: ThreadPoolExecutor) -> None:
    look = looking(pool, Look.IMAGES)
    gone = replace(look, survey=replace(look.survey, daemon=Unknown("gone")))

    answer = gone._have(gone._ask(Look.IMAGES, lambda: "asked", docker=True))

    assert answer == Unknown("the Docker daemon does not answer (see D01)")
