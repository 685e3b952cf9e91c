"""What a request is refused with when no tier answers it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from anvil_ctl.router.config import Tier
from anvil_ctl.router.judgement.policy import Decision, Drop
from anvil_ctl.upstream.failure import Action, Failure


class Exhaustion(StrEnum):
    """Why nobody served, where that is no fault of the caller's."""

    UNBOUND = "unbound"
    EXHAUSTED = "exhausted"
    OVER_CONTEXT = "over_context"


class Refusal(msgspec.Struct, frozen=True):
    """The answer when no candidate served."""

    status: int
    kind: str
    message: str
    retry_after_s: int | None = None
    exhaustion: Exhaustion | None = None


Failed = tuple[Tier, Failure]

UNKNOWN_NAME = Refusal(
    404, "not_found", "No model of that name. GET /v1/models lists those that there are."
)
_TOO_LONG = Refusal(
    413,
    "payload_too_large",
    "The request does not fit the model's context window.",
    exhaustion=Exhaustion.OVER_CONTEXT,
)
_PICTURES = Refusal(
    400,
    "invalid_request_error",
    "Images are unsupported: no model here that may answer reads them.",
)


def nobody(decision: Decision, model: str, exhaustion_status: int) -> Refusal:
    """The answer where no tier may even be asked."""
    if decision.lacking is Drop.CONTEXT:
        return _TOO_LONG
    if decision.lacking is Drop.VISION:
        return _PICTURES
    if decision.pin_denied:
        # The caller named it, so naming it tells nothing new.
        message = (
            f"The model {model} is not trusted with this kind of work ({decision.work}), and a "
            "model that was asked for by its name has no substitute. Ask for a preset instead."
        )
        return Refusal(
            exhaustion_status, "service_unavailable", message, exhaustion=Exhaustion.UNBOUND
        )
    return _nobody(exhaustion_status, Exhaustion.UNBOUND)


def worth_trying(tier: Tier, failed: Sequence[Failed]) -> bool:
    """Whether what went wrong so far could go right at this tier."""
    for other, failure in failed:
        if failure.action is Action.LARGER and tier.context_limit <= other.context_limit:
            return False
        alike = tier.dialect is other.dialect and tier.engine == other.engine
        if failure.action is Action.STOP and alike:
            return False
    return True


def after(failed: Sequence[Failed], exhaustion_status: int) -> Refusal:
    """What the client is told once every candidate has failed or was skipped."""
    actions = [failure.action for _tier, failure in failed]
    if Action.STOP in actions:
        return Refusal(400, "invalid_request_error", "The engine refused the request as invalid.")
    if actions and all(action is Action.LARGER for action in actions):
        return _TOO_LONG
    waits = [f.retry_after_s for _tier, f in failed if f.retry_after_s is not None]
    return _nobody(exhaustion_status, Exhaustion.EXHAUSTED, max(waits, default=None))


def _nobody(status: int, why: Exhaustion, retry_after_s: int | None = None) -> Refusal:
    message = "No model can serve the request now."
    return Refusal(status, "service_unavailable", message, retry_after_s, why)
