"""What requests teach of the tiers that they are sent to."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.judgement.breaker import Breakers, State
from anvil_ctl.router.judgement.pace import Pace
from anvil_ctl.router.judgement.policy import Circumstances, Decision
from anvil_ctl.router.judgement.residency import Residency
from anvil_ctl.router.judgement.sessions import Sessions
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.upstream.failure import Action, Failure

# A tier with all its slots taken is busy, and not broken.
_NO_FAULT = frozenset({"busy"})


class Experience:
    """What a router has learnt of its tiers while it ran; a reload begins anew.

    `clock` gives seconds that only go up.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        judgement = config.judgement
        self.breakers = Breakers(judgement.breakers, random.random)
        self.residency = Residency(judgement.residency)
        self.pace = Pace()
        self.sessions = Sessions(ttl=judgement.stickiness.ttl, most=judgement.stickiness.most)

    def circuit(self, tier: Tier) -> State:
        """Whether the tier itself may be asked. Looking takes no probe."""
        return self.breakers.transport(tier.id, self.clock())

    def now(self, unbound: frozenset[str], session: int | None) -> Circumstances:
        """What is so at this moment, for a decision. Looking changes nothing."""
        now = self.clock()
        return Circumstances(
            unbound=unbound,
            residents=self.residency.residents(now),
            due=self.residency.due(now),
            shut=self.breakers.shut(now),
            former=None if session is None else self.sessions.former(session, now),
        )

    def put_off(self, decision: Decision) -> None:
        """Remember which first choice was put behind others for being unloaded, if it was."""
        if decision.deferred and decision.deferred[0] == decision.pool[0]:
            self.residency.put_off(decision.deferred[0], self.clock())

    # How an attempt at a tier counts for and against it: `work` is the request's class of work.

    def enter(self, tier: Tier, work: Work | None) -> bool:
        """Whether the tier may be tried; every trial ends in one of the other calls."""
        return self.breakers.enter(tier.id, work, self.clock())

    def least_s(self, tier: Tier) -> float:
        """The seconds that the tier needs at its best."""
        return self.pace.least(tier.id, self.clock())

    def served(self, tier: Tier, work: Work | None, session: int | None, took_s: float) -> None:
        """The tier's answer is the client's; it took the engine so long."""
        now = self.clock()
        self.pace.served(tier.id, took_s, now)
        self.breakers.succeeded(tier.id, work)
        self.residency.served(tier, now)
        if session is not None:
            self.sessions.served(session, tier.id, now)

    def failed(self, tier: Tier, work: Work | None, failure: Failure) -> None:
        """The tier did not answer. What the caller did wrong says nothing of the tier."""
        if failure.action is Action.NEXT and failure.reason not in _NO_FAULT:
            at_least = failure.retry_after_s or 0.0
            self.breakers.failed(tier.id, self.clock(), at_least=at_least)
        else:
            self.left(tier, work)

    def unsound(self, tier: Tier, work: Work | None) -> None:
        """The tier's answer failed a check."""
        self.breakers.unsound(tier.id, work, self.clock())

    def left(self, tier: Tier, work: Work | None) -> None:
        """The attempt ended and says nothing of the tier: the client went, or nothing was sent."""
        self.breakers.release(tier.id, work)
