"""A check: a question with a stable id, and the pure function that answers it from a survey."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from anvil_ctl.doctor.finding import Finding, Status
from anvil_ctl.doctor.survey import Look, Survey


@dataclass(frozen=True, slots=True)
class Check:
    """`worst` is the gravest that it can find; `looks` are the parts of a survey that it needs.

    `decide` yields one finding or more, and nothing where the question does not arise. A check
    that `gates` also refuses transitions.
    """

    id: str
    title: str
    worst: Status
    decide: Callable[[Survey], Iterable[Finding]]
    looks: frozenset[Look] = frozenset()
    gates: bool = False


def looking(*looks: Look) -> frozenset[Look]:
    return frozenset(looks)
