"""The checks in their order, and one verdict over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from anvil_ctl.router.verify.checks import (
    format_well_formed,
    non_empty_content,
    not_truncated,
    refusal_marker,
    tool_calls_valid,
)
from anvil_ctl.router.verify.code import code_parses
from anvil_ctl.router.verify.diff import diff_well_formed
from anvil_ctl.router.verify.view import Result, View

Check = Callable[[View], Result]
MINIMAL: tuple[Check, ...] = (non_empty_content, not_truncated)
FULL: tuple[Check, ...] = (
    *MINIMAL,
    tool_calls_valid,
    code_parses,
    diff_well_formed,
    format_well_formed,
    refusal_marker,
)


class Outcome(msgspec.Struct, frozen=True):
    """The verdict: `failed` names the first check that failed; the score is the lowest."""

    failed: str | None
    score: float

    @property
    def passed(self) -> bool:
        """Whether the answer may be sent."""
        return self.failed is None


def verify(view: View, checks: Sequence[Check] = FULL) -> Outcome:
    """Run the checks up to the first that fails. No check means all of them, never none.

    A check that raises has failed: what it would have found is not known.
    """
    score = 1.0
    for check in checks or FULL:
        try:
            result = check(view)
        except Exception:  # noqa: BLE001 - an answer must not get past a broken check
            return Outcome(f"{check.__name__} raised", 0.0)
        score = min(score, result.score)
        if not result.passed:
            return Outcome(result.name, score)
    return Outcome(None, score)
