"""Trying a request's candidates in order until one of them serves."""

from __future__ import annotations

import logging

from anvil_ctl.router import route
from anvil_ctl.router.attempt import Attempt
from anvil_ctl.router.bound import Live
from anvil_ctl.router.dialects.call import Call
from anvil_ctl.router.route import Choice, Failed, Refusal
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.failure import UpstreamError

log = logging.getLogger(__name__)


async def serve(
    call: Call, choice: Choice, live: Live, pool: Pool, exchange: Exchange, *, betas: str
) -> Refusal | None:
    """Answer the exchange from the first candidate that can; else say what to refuse with."""
    failed: list[Failed] = []
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
        except UpstreamError as error:
            failed.append((bound.tier, error.failure))
            log.warning(
                "attempt failed",
                extra={
                    "fields": {
                        "request_id": exchange.request_id,
                        "tier": bound.tier.id,
                        "reason": error.failure.reason,
                    }
                },
            )
        else:
            return None
    exchange.fields.update(tried=">".join(tried), failure=_reasons(failed))
    if not candidates:
        log.error("no candidate is bound: check the credentials and endpoints of its tiers")
    return route.refusal(failed, live.config.exhaustion_status)


def _reasons(failed: list[Failed]) -> str:
    return ",".join(failure.reason for _tier, failure in failed) or "unbound"
