"""Trying a request's candidates in order until one of them serves."""

from __future__ import annotations

import logging

from anvil_ctl.router import route
from anvil_ctl.router.attempt import Attempt
from anvil_ctl.router.bound import Live
from anvil_ctl.router.dialects.call import BadRequestError, Call
from anvil_ctl.router.route import Choice, Failed, Refusal
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.failure import Action, Failure, UpstreamError

log = logging.getLogger(__name__)


async def serve(
    call: Call, choice: Choice, live: Live, pool: Pool, exchange: Exchange, *, betas: str
) -> Refusal | None:
    """Answer the exchange from the first candidate that can; else say what to refuse with.

    Raises BadRequestError if the request can't be put in the words of the tiers that could serve.
    """
    failed: list[Failed] = []
    untranslatable: BadRequestError | None = None
    tried: list[str] = []
    candidates = live.usable(choice.candidates)
    for bound in candidates:
        if len(tried) >= live.config.max_attempts:
            break
        if not route.worth_trying(bound.tier, failed):
            continue
        tried.append(bound.tier.id)
        attempt = Attempt(
            call, choice, bound, exchange, config=live.config, tried=tried, betas=betas
        )
        try:
            await attempt.run(pool)
        except BadRequestError as error:
            untranslatable = error
            failed.append((bound.tier, Failure("untranslatable", Action.STOP)))
        except UpstreamError as error:
            failed.append((bound.tier, error.failure))
            _note(exchange, bound.tier.id, error.failure.reason)
        else:
            return None
    exchange.fields.update(tried=">".join(tried), failure=_reasons(failed))
    if not candidates:
        log.error("no candidate is bound: check the credentials and endpoints of its tiers")
    refusal = route.refusal(failed, live.config.exhaustion_status)
    if untranslatable is not None and refusal.status == 400:
        raise untranslatable
    return refusal


def _note(exchange: Exchange, tier: str, reason: str) -> None:
    fields = {"request_id": exchange.request_id, "tier": tier, "reason": reason}
    log.warning("attempt failed", extra={"fields": fields})


def _reasons(failed: list[Failed]) -> str:
    return ",".join(failure.reason for _tier, failure in failed) or "unbound"
