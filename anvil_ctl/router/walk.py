"""Trying a request's candidates in order until one of them serves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from anvil_ctl.router import route
from anvil_ctl.router.bound import BoundTier
from anvil_ctl.router.config import Config, Tier
from anvil_ctl.router.dialects.call import BadRequestError
from anvil_ctl.router.route import Failed, Refusal
from anvil_ctl.router.slots import BUSY
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.failure import REFUSED_CREDENTIAL, Action, Failure, UpstreamError

log = logging.getLogger(__name__)


class Try(Protocol):
    """One request at one tier."""

    async def run(self, pool: Pool) -> None:
        """Answer. Raises UpstreamError if the tier failed and nothing was sent to the client."""


async def serve(
    candidates: Sequence[BoundTier],
    attempt: Callable[[BoundTier, Sequence[str]], Try],
    config: Config,
    pool: Pool,
    exchange: Exchange,
) -> Refusal | None:
    """Answer the exchange from the first candidate that can; else say what to refuse with.

    `attempt` makes the attempt at a tier, given the tiers tried up to and with it.

    Raises BadRequestError if the request can't be put in the words of the tiers that could serve.
    """
    failed: list[Failed] = []
    untranslatable: BadRequestError | None = None
    tried: list[str] = []
    for bound in candidates:
        if len(tried) >= config.max_attempts:
            break
        if not route.worth_trying(bound.tier, failed):
            continue
        tried.append(bound.tier.id)
        try:
            await attempt(bound, tried).run(pool)
        except BadRequestError as error:
            untranslatable = error
            failed.append((bound.tier, Failure("untranslatable", Action.STOP)))
        except UpstreamError as error:
            failed.append((bound.tier, error.failure))
            if error.failure is BUSY:
                tried.pop()  # it was not asked
            else:
                _note(exchange, bound.tier, error.failure.reason)
        else:
            return None
        exchange.fields["failed"] = [(tier.id, failure.reason) for tier, failure in failed]
    exchange.fields.update(tried=">".join(tried), failure=_reasons(failed))
    if not candidates:
        log.error("no candidate is bound: check the credentials and endpoints of its tiers")
    refusal = route.refusal(failed, config.exhaustion_status)
    if untranslatable is not None and refusal.status == 400:
        raise untranslatable
    return refusal


def _note(exchange: Exchange, tier: Tier, reason: str) -> None:
    fields = {"request_id": exchange.request_id, "tier": tier.id, "reason": reason}
    log.warning("attempt failed", extra={"fields": fields})
    if reason == REFUSED_CREDENTIAL:
        log.error("tier %s does not accept the credential in %s", tier.id, tier.auth_env)


def _reasons(failed: list[Failed]) -> str:
    return ",".join(failure.reason for _tier, failure in failed) or "unbound"
