"""One request to a scripted server, through a pool."""

from __future__ import annotations

from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import Endpoint, endpoint
from anvil_ctl.upstream.response import Deadlines
from tests.unit.router.doubles import Double

LIMITS = Deadlines(1.0, 1.0, 1.0)


def to(made: Double) -> Endpoint:
    return endpoint(made.url, "/v1/x")


async def ask(pool: Pool, made: Double, limits: Deadlines = LIMITS) -> bytes:
    response = await pool.post(to(made), b"{}", limits)
    try:
        return await response.read(1 << 20)
    finally:
        response.close()
