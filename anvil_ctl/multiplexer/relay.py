"""Carrying a request to the resident and its answer back, byte for byte as they come."""

from __future__ import annotations

from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.model import Model, RefusedError, unavailable
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request
from anvil_ctl.upstream.client import Pool
from anvil_ctl.upstream.endpoint import endpoint
from anvil_ctl.upstream.failure import UpstreamError
from anvil_ctl.upstream.response import Deadlines, Response

# A long prompt on a slow engine is silent for minutes before its first byte.
_PATIENCE = Deadlines(connect_s=5.0, first_byte_s=900.0, idle_s=900.0)
# What says how to read the body. Credentials and hop-by-hop headers stay on their side.
_KEPT = ("content-type", "content-encoding")


async def relay(loop: Loop, pool: Pool, model: Model, request: Request, exchange: Exchange) -> None:
    """Send the request to the model's engine and hand on what it answers, errors too.

    Raises RefusedError as long as nothing has been answered; later, the answer is cut off.
    """
    try:
        there = endpoint(model.url, request.path, repeatable=True)
        response = await pool.post(there, request.body, _PATIENCE)
    except UpstreamError as error:
        loop.suspect(model.name)
        reason = f"the engine of {model.name} does not answer ({error.failure.reason})"
        raise RefusedError(unavailable(reason)) from error
    try:
        await _hand_on(response, exchange)
    except UpstreamError as error:
        exchange.fields["upstream"] = error.failure.reason
        loop.suspect(model.name)
        exchange.abort()
    finally:
        exchange.flow = None
        response.close()


async def _hand_on(response: Response, exchange: Exchange) -> None:
    headers = [(name, response.headers[name]) for name in _KEPT if name in response.headers]
    exchange.start(response.status, headers)
    exchange.flow = response

    def write(data: bytes) -> bool:
        exchange.write(data)
        return False

    await response.pour(write)
    exchange.end()
