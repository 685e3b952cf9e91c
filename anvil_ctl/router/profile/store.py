"""The rows in use: read by every request, changed by grades and by changed engines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile.row import UNMEASURED, Key, Row, Verdict, seeds, unmeasured


class Profile:
    """Rows by tier and class, over the seeds unless not `seeded`. Reads are one look-up.

    Used by one event loop: nothing here waits, so no update can be lost.
    """

    def __init__(self, rows: Mapping[Key, Row] | None = None, *, seeded: bool = True) -> None:
        self._rows = {**(seeds() if seeded else {}), **(rows or {})}
        self._own = set(rows or ())

    def __iter__(self) -> Iterator[tuple[Key, Row]]:
        return iter(sorted(self._rows.items(), key=lambda item: _order(item[0])))

    def own(self) -> Iterator[tuple[Key, Row]]:
        """The rows that somebody measured or set: all but the seeds."""
        return (item for item in self if item[0] in self._own)

    def is_own(self, tier: str, work: Work | None) -> bool:
        """Whether the row is no seed."""
        return (tier, work) in self._own

    def row(self, tier: str, work: Work | None) -> Row | None:
        """The row, if there is one."""
        return self._rows.get((tier, work))

    def verdict(self, tier: str, work: Work | None, *, local: bool) -> Verdict:
        """What holds now."""
        row = self._rows.get((tier, work))
        return unmeasured(work, local=local) if row is None else row.effective

    def score(self, tier: str, work: Work | None) -> float:
        """The score; one half where nobody has measured."""
        row = self._rows.get((tier, work))
        return UNMEASURED if row is None else row.score

    def stale(self) -> list[Key]:
        """The rows that a changed engine has put in doubt."""
        return [key for key, row in self if row.stale]

    def grade(
        self,
        tier: str,
        work: Work | None,
        score: float,
        *,
        local: bool,
        verdict: Verdict | None = None,
        measured: str | None = None,
        weight: int = 1,
        fingerprint: str | None = None,
        identity: Mapping[str, object] | None = None,
    ) -> Row:
        """Take in a grade and return the row as it is then.

        `fingerprint` and `identity` are those of the tier which was graded. Scores outside 0 to 1
        are moved to its ends; ValueError for one that is no number.
        """
        if math.isnan(score):
            raise ValueError("a score must be a number from 0 to 1")
        score = min(1.0, max(0.0, score))
        old = self._rows.get((tier, work))
        if old is None:
            said = verdict or unmeasured(work, local=local)
            row = Row(
                said,
                round(score, 4),
                max(1, weight),
                measured,
                fingerprint=fingerprint,
                identity=identity,
            )
        elif fingerprint is not None and old.fingerprint not in (None, fingerprint):
            return old  # graded before the engine changed: it says nothing of the new one
        else:
            row = msgspec.structs.replace(
                _averaged(old, score, max(0, weight)),
                verdict=verdict or old.verdict,
                measured=measured or old.measured,
                fingerprint=fingerprint or old.fingerprint,
                identity=identity or old.identity,
            )
        self._rows[tier, work] = row
        self._own.add((tier, work))
        return row

    def apply(
        self, tier: str, fingerprint: str, identity: Mapping[str, object] | None = None
    ) -> list[Work | None]:
        """The tier is now the one of that fingerprint; the classes that became stale by it.

        A row without a fingerprint takes this one as its own, except where it is already stale.
        """
        changed: list[Work | None] = []
        for (owner, work), row in self._rows.items():
            if owner != tier or row.fingerprint == fingerprint:
                continue
            stale = row.stale or row.fingerprint is not None
            if stale and not row.stale:
                changed.append(work)
            # What was measured stays on record, so that it can be said what is different now.
            measured = row.identity if stale else identity
            self._rows[owner, work] = msgspec.structs.replace(
                row, fingerprint=fingerprint, stale=stale, identity=measured
            )
        return sorted(changed, key=str)


def _averaged(old: Row, score: float, weight: int) -> Row:
    if weight == 0:
        return msgspec.structs.replace(old, stale=False)
    # A new engine starts a new series instead of inheriting the average of the old one.
    before = 0 if old.stale else old.samples
    samples = before + weight
    mean = (old.score * before + score * weight) / samples
    return msgspec.structs.replace(old, score=round(mean, 4), samples=samples, stale=False)


def _order(key: Key) -> tuple[str, str]:
    return key[0], key[1] or ""
