"""How long a caller wants to wait: nobody is asked for longer, and no tier is blamed for it."""

from __future__ import annotations

import math
import time

import msgspec

from anvil_ctl.router.dialects.call import BadRequestError
from anvil_ctl.router.refusal import Refusal
from anvil_ctl.upstream.response import Deadlines

HEADER = "x-anvil-deadline-ms"
LATE = Refusal(504, "timeout", "No answer within the request's deadline.")
# A day; a longer wait is none that anybody means.
_LONGEST_MS = 86_400_000


class Deadline(msgspec.Struct, frozen=True):
    """The moment at which an answer is of no more use, in seconds of the monotonic clock."""

    at: float = math.inf

    @property
    def left_s(self) -> float:
        """The seconds until then, 0 from then on."""
        return max(0.0, self.at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self.at

    def within(self, limits: Deadlines) -> Deadlines:
        """An upstream's limits, none of them beyond this one."""
        if self is NEVER:
            return limits
        left = self.left_s
        return msgspec.structs.replace(
            limits,
            connect_s=min(limits.connect_s, left),
            first_byte_s=min(limits.first_byte_s, left),
            total_s=min(limits.total_s, left),
        )


NEVER = Deadline()


def deadline(said: str | None, most_s: float, began: float) -> Deadline:
    """That of a request which began at `began`: the header's, the configuration's (`most_s`, 0 for
    none), or the earlier of both. Raises BadRequestError."""
    if said is None:
        return Deadline(began + most_s) if most_s else NEVER
    wanted = int(said) if said.isascii() and said.isdigit() and len(said) <= 8 else 0
    if not 0 < wanted <= _LONGEST_MS:
        raise BadRequestError(f"{HEADER}: a whole number of milliseconds, 1 to {_LONGEST_MS}")
    return Deadline(began + min(wanted / 1000, most_s or wanted / 1000))
