"""What an upstream's failure means for the request: try another tier, a larger one, or stop."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

from anvil_ctl.errors import AnvilError

# The longest wait that is believed, in seconds.
_LONGEST = 86400
REFUSED_CREDENTIAL = "refused_credential"


class Action(StrEnum):
    """What may follow a failed attempt."""

    NEXT = "next"
    LARGER = "larger"
    STOP = "stop"


class Failure(msgspec.Struct, frozen=True):
    """One failed attempt, without a word of what the upstream said. Times are in seconds."""

    reason: str
    action: Action = Action.NEXT
    retry_after_s: int | None = None


class UpstreamError(AnvilError):
    """An upstream did not answer as asked."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"upstream failed: {failure.reason}")
        self.failure = failure


_TOO_LONG = re.compile(
    rb"context[_ ]?(length|size|window)|maximum context|exceed_context|prompt is too long"
    rb"|longer than the model|too many (input )?tokens",
    re.IGNORECASE,
)


def failed(reason: str) -> UpstreamError:
    """An error after which the next tier may be tried."""
    return UpstreamError(Failure(reason))


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Judge an upstream's answer other than 200. `body` may be cut; it is only searched."""
    if status in (400, 413, 422) and _TOO_LONG.search(body):
        return Failure("context_exceeded", Action.LARGER)
    if status in (400, 413, 422):
        return Failure("client_fault", Action.STOP)
    if status in (401, 403):
        return Failure(REFUSED_CREDENTIAL)
    if status == 404:
        return Failure("unknown_model")
    return Failure(f"status_{status}", retry_after_s=retry_after(headers))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> int | None:
    """The Retry-After header, a number or a date, in seconds from now; None where it is neither."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        # int() refuses thousands of digits.
        return min(int(value), _LONGEST) if len(value) <= 20 else _LONGEST
    try:
        then = parsedate_to_datetime(value)
        # HTTP's dates are GMT, and one without a zone is read as such.
        left_s = (then if then.tzinfo else then.replace(tzinfo=UTC)) - (now or datetime.now(UTC))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(math.ceil(left_s.total_seconds()), 0), _LONGEST)
