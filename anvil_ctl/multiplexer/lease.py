"""The lease endpoint: whoever holds the connection holds the model, and nothing else does."""

from __future__ import annotations

import msgspec

from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.model import RefusedError
from anvil_ctl.multiplexer.ticket import Ticket
from anvil_ctl.serving.exchange import Exchange

_NDJSON = (("content-type", "application/x-ndjson"), ("cache-control", "no-store"))
# Often enough that a client with a silence limit sees that its place is kept.
_PROGRESS_S = 2.0


async def lend(loop: Loop, ticket: Ticket, exchange: Exchange) -> None:
    """Say how the wait goes, then that the lease is granted, and keep it until the client leaves.

    The caller has asked for the ticket and leaves it.
    """
    exchange.start(200, _NDJSON)
    try:
        while not await ticket.granted(within_s=0):
            _say_queued(loop, ticket, exchange)
            if await ticket.granted(within_s=_PROGRESS_S):
                break
    except RefusedError as error:
        exchange.fields["refused"] = error.refusal.code
        _say(exchange, {"state": "refused", **msgspec.structs.asdict(error.refusal)})
        exchange.end()
        return
    model = loop.scheduler.models.get(ticket.model)
    _say(
        exchange,
        {
            "state": "granted",
            "model": ticket.model,
            "url": model.url if model is not None else "",
            "waited_s": round(loop.now() - ticket.asked_at, 3),
        },
    )
    await ticket.severed.wait()
    exchange.fields["severed"] = True
    exchange.end()


def _say_queued(loop: Loop, ticket: Ticket, exchange: Exchange) -> None:
    place = loop.place(ticket)
    if place is not None:
        line = {"position": place.position, "estimate_s": place.estimate_s}
        _say(exchange, {"state": "queued", **line})


def _say(exchange: Exchange, line: dict[str, object]) -> None:
    exchange.write(msgspec.json.encode(line) + b"\n")
