"""How many tokens a request has: asked of the engine that would get it, else estimated.

Nothing is generated, and no lease is taken: a model that isn't loaded isn't loaded for a count.
"""

from __future__ import annotations

import msgspec

from anvil_ctl.router.bound import BoundTier
from anvil_ctl.router.config import Counting
from anvil_ctl.router.dialects import counted
from anvil_ctl.router.dialects.call import BadRequestError, Call
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import Endpoint
from anvil_ctl.upstream.failure import UpstreamError, failed
from anvil_ctl.upstream.response import Deadlines

# Callers count before every request; an engine that is busy or away must not make them wait.
_LIMITS = Deadlines(1.0, 3.0, 3.0)
_MAX_ANSWER = 32 << 20


async def exact(call: Call, bound: BoundTier, pool: Pool) -> int | None:
    """The engine's own count; None where it has none to give."""
    try:
        match bound.tier.count_tokens:
            case Counting.MESSAGES:
                body = counted.messages(call, bound.target)
                return counted.input_tokens(await _ask(pool, bound.counters[0], body))
            case Counting.TOKENIZE:
                body = counted.chat(call, bound.target)
                return counted.count(await _ask(pool, bound.counters[0], body))
            case Counting.TEMPLATE:
                prompt = await _ask(pool, bound.counters[0], counted.chat(call, bound.target))
                body = counted.text(prompt)
                return counted.tokens(await _ask(pool, bound.counters[1], body))
            case None:
                return None
    except (UpstreamError, BadRequestError, msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _ask(pool: Pool, endpoint: Endpoint, body: bytes) -> bytes:
    response = await pool.post(endpoint, body, _LIMITS)
    try:
        if response.status != 200:
            raise failed(f"status_{response.status}")
        return await response.read(_MAX_ANSWER)
    finally:
        response.close()
