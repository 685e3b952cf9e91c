"""One verdict on one tier for one class of work, and what holds where there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from anvil_ctl.router.judgement.work import HIGH_RISK, Work


class Verdict(StrEnum):
    """What a tier may do with a class of work."""

    ALLOW = "allow"
    VERIFY = "allow-with-verify"
    DENY = "deny"


class Row(msgspec.Struct, frozen=True):
    """What was found of a tier. `score` is 0 to 1; `measured` an ISO date or None.

    `stale`: the tier's engine, model or flags are no longer those that were measured, which
    `identity` has. `fingerprint` is that of the tier as it is now.
    """

    verdict: Verdict
    score: float
    samples: int
    measured: str | None = None
    stale: bool = False
    fingerprint: str | None = None
    identity: Mapping[str, object] | None = None

    @property
    def effective(self) -> Verdict:
        """The verdict that holds now: trust that was earned by another set-up is not full trust."""
        if self.stale and self.verdict is Verdict.ALLOW:
            return Verdict.VERIFY
        return self.verdict


# (tier, class of work). A preset of the operator's own has no class.
Key = tuple[str, Work | None]
UNMEASURED = 0.5


def unmeasured(work: Work | None, *, local: bool) -> Verdict:
    """The verdict where nobody has measured."""
    if work is None or not local:
        return Verdict.ALLOW
    return Verdict.DENY if work in HIGH_RISK else Verdict.VERIFY


# Three tiers of the worked examples: an 8B on a small card, a large model, a frontier model.
_ANCHORS = {"fast-local": 0.65, "heavy-local": 0.80, "cloud": 0.95}
_SEEDS = {
    # class: fast-local, heavy-local, cloud
    Work.PLANNING: "deny deny allow",
    Work.REFACTOR: "deny allow-with-verify allow",
    Work.LONG: "deny allow allow",
    Work.REVIEW: "allow-with-verify allow allow",
    Work.EDIT: "allow allow allow",
    Work.CHAT: "allow allow allow",
    Work.CHAT_FAST: "allow allow allow",
}
_DENIED_SCORE = 0.20


def seeds() -> dict[Key, Row]:
    """The rows that a profile begins with."""
    rows: dict[Key, Row] = {}
    for work, line in _SEEDS.items():
        for (tier, anchor), word in zip(_ANCHORS.items(), line.split(), strict=True):
            verdict = Verdict(word)
            scores = {Verdict.ALLOW: anchor, Verdict.VERIFY: anchor - 0.10}
            score = round(scores.get(verdict, _DENIED_SCORE), 4)
            rows[tier, work] = Row(verdict, score, samples=1)
    return rows
