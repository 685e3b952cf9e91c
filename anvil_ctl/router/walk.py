"""Trying a request's candidates in order until one of them serves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from anvil_ctl.router import refusal as refusals
from anvil_ctl.router.bound import BoundTier, Live
from anvil_ctl.router.config import Tier
from anvil_ctl.router.deadline import LATE, NEVER, Deadline
from anvil_ctl.router.decided import cost_usd, exhausted
from anvil_ctl.router.dialects.call import BadRequestError
from anvil_ctl.router.judgement.judge import Judged
from anvil_ctl.router.judgement.policy import Candidate
from anvil_ctl.router.refusal import Failed, Refusal
from anvil_ctl.router.slots import BUSY
from anvil_ctl.router.window import UnsoundError
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.failure import REFUSED_CREDENTIAL, Action, Failure, UpstreamError

log = logging.getLogger(__name__)


class Try(Protocol):
    """One request at one tier."""

    async def run(self, pool: Pool) -> float | None:
        """Answer; the seconds that the engine took, None if it broke off in the middle of it.

        Raises UpstreamError if the tier failed, UnsoundError if its answer did, and
        BadRequestError if the tier can't be asked that; then nothing was sent to the client.
        """


# Makes the attempt at a tier, given the tiers tried up to and with it.
Begin = Callable[[BoundTier, Candidate, Sequence[str]], Try]


class Walk:
    """One request's way along its candidates. `session`: its conversation, where that counts."""

    def __init__(
        self,
        live: Live,
        pool: Pool,
        exchange: Exchange,
        judged: Judged,
        *,
        session: int | None = None,
        until: Deadline = NEVER,
    ) -> None:
        self._live = live
        self._experience = live.experience
        self._pool = pool
        self._exchange = exchange
        self._decision = judged.decision
        self._session = session
        self._size = judged.reading.total.expected
        self._until = until
        self._spent = 0
        self._tried: list[str] = []
        self._failed: list[Failed] = []
        self._skipped: list[str] = []
        self._hopeless: list[str] = []
        self._rejected: list[dict[str, object]] = []
        self._wasted_usd = 0.0
        self._untranslatable: BadRequestError | None = None

    async def serve(self, attempt: Begin) -> Refusal | None:
        """Answer from the first candidate that can; else say what to refuse with.

        Raises BadRequestError if the request can't be put in the words of any that could serve.

        1. Enough attempts were made: stop.
        2. A further one would go over the budget of tokens: stop.
        3. The request's deadline has passed: stop.
        4. What went wrong so far would go wrong here too: the next.
        5. The tier has never been fast enough for what is left of the time: the next.
        6. The tier has just failed others: the next. That is no attempt and costs nothing.
        7. Try it.
        """
        self._experience.put_off(self._decision)
        for candidate in self._decision.candidates:
            if self._enough():  # 1 to 3
                break
            tier = candidate.tier
            if self._in_vain(tier):  # 4, 5
                continue
            if not self._experience.enter(tier, self._decision.work):  # 6
                self._skipped.append(tier.id)
                continue
            self._tried.append(tier.id)
            self._spent += self._size
            try:  # 7
                bound = self._live.bound(tier)
                took_s = await attempt(bound, candidate, self._tried).run(self._pool)
            except (BadRequestError, UnsoundError, UpstreamError) as error:
                self._went_wrong(tier, error)
            except BaseException:
                self._experience.left(tier, self._decision.work)
                raise
            else:
                self._served(tier, took_s)
                return None
        refusal = self._refusal()
        exhausted(self._exchange, refusal, self._decision)
        return refusal

    def _enough(self) -> bool:
        """Whether nobody else is to be tried."""
        limits = self._live.config.judgement.fallback
        if len(self._tried) >= limits.max_attempts:
            return True
        if limits.max_tokens and self._spent + self._size >= limits.max_tokens:
            self._exchange.fields["budget_stop"] = True
            return True
        return self._until is not NEVER and self._until.over

    def _in_vain(self, tier: Tier) -> bool:
        """Whether the tier would fail, as far as can be known."""
        if self._failed and not refusals.worth_trying(tier, self._failed):
            return True
        if self._until is NEVER or self._experience.least_s(tier) <= self._until.left_s:
            return False
        self._hopeless.append(tier.id)
        self._exchange.fields["too_slow"] = self._hopeless
        return True

    def _went_wrong(
        self, tier: Tier, error: BadRequestError | UnsoundError | UpstreamError
    ) -> None:
        """Note why a tier did not serve."""
        work = self._decision.work
        match error:
            case BadRequestError():
                self._untranslatable = error
                self._failed.append((tier, Failure("untranslatable", Action.STOP)))
                self._experience.left(tier, work)
            case UnsoundError():
                self._spent += error.usage.output or 0
                self._reject(tier, error)
                self._note(tier, Failure(error.check))
                self._experience.unsound(tier, work)
            case UpstreamError() if error.failure is BUSY:
                self._tried.pop()  # it was not asked
                self._failed.append((tier, BUSY))
                self._experience.left(tier, work)
            case UpstreamError():
                self._note(tier, error.failure)
                self._blame(tier, error.failure)
        self._exchange.fields["failed"] = [(t.id, failure.reason) for t, failure in self._failed]

    def _served(self, tier: Tier, took_s: float | None) -> None:
        """The answer was the client's, even if the engine broke off in the middle of it."""
        if took_s is None:
            self._blame(tier, Failure("cut"))
        else:
            self._experience.served(tier, self._decision.work, self._session, took_s)
        if self._skipped:
            self._exchange.fields["skipped"] = self._skipped
        if self._wasted_usd:
            fields = self._exchange.fields
            served = fields.get("cost_usd")
            served = served if isinstance(served, float) else 0.0
            fields["cost_usd"] = round(served + self._wasted_usd, 8)

    def _reject(self, tier: Tier, error: UnsoundError) -> None:
        """An answer that nobody gets was made and is paid for all the same, at its tier's price."""
        given = self._size if error.usage.input is None else error.usage.input
        made = error.usage.output or 0
        cost = cost_usd(tier, given, made)
        self._wasted_usd += cost
        self._rejected.append(
            {
                "tier": tier.id,
                "check": error.check,
                "input_tokens": given,
                "output_tokens": made,
                "cost_usd": round(cost, 8),
            }
        )
        self._exchange.fields["rejected"] = self._rejected

    def _blame(self, tier: Tier, failure: Failure) -> None:
        """Count a failure against a tier, unless the caller's own impatience ended the attempt."""
        if self._until.over:
            self._experience.left(tier, self._decision.work)
        else:
            self._experience.failed(tier, self._decision.work, failure)

    def _note(self, tier: Tier, failure: Failure) -> None:
        self._failed.append((tier, failure))
        fields = {
            "request_id": self._exchange.request_id,
            "tier": tier.id,
            "reason": failure.reason,
        }
        log.warning("attempt failed", extra={"fields": fields})
        if failure.reason == REFUSED_CREDENTIAL:
            log.error("tier %s does not accept the credential in %s", tier.id, tier.auth_env)

    def _refusal(self) -> Refusal:
        fields = self._exchange.fields
        fields.update(tried=">".join(self._tried), skipped=self._skipped)
        fields["failure"] = ",".join(f.reason for _tier, f in self._failed) or "skipped"
        if self._wasted_usd:
            fields["cost_usd"] = round(self._wasted_usd, 8)
        if self._until.over or (self._hopeless and not self._failed):
            return LATE
        refusal = refusals.after(self._failed, self._live.config.exhaustion_status)
        if self._untranslatable is not None and refusal.status == 400:
            raise self._untranslatable
        return refusal
