"""The endpoints that ask engines: completions in every dialect, passed-on requests, counts."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from anvil_ctl.router import counting, route, walk
from anvil_ctl.router.attempt import Attempt
from anvil_ctl.router.bound import BoundTier
from anvil_ctl.router.config import PASSTHROUGH
from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects import forwarded, responses_request
from anvil_ctl.router.dialects.call import BadRequestError, Call, Dialect
from anvil_ctl.router.dialects.forwarded import Forwarded
from anvil_ctl.router.forward import Forward
from anvil_ctl.router.refuse import refuse
from anvil_ctl.router.route import Choice, Refusal, Source
from anvil_ctl.router.state import State
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import HoldFullError
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route

Parse = Callable[[bytes], Call]
PATHS: dict[str, Parse] = {
    "/v1/chat/completions": functools.partial(calls.parse, Dialect.OPENAI),
    "/v1/messages": functools.partial(calls.parse, Dialect.ANTHROPIC),
    "/v1/responses": responses_request.parse,
}
_FORWARDED = {name: functools.partial(forwarded.parse, name) for name in sorted(PASSTHROUGH)}
_Call = TypeVar("_Call")
Serve = Callable[[_Call, Request, Exchange], Awaitable[Refusal | None]]
_NOBODY = Refusal(404, "not_found", "No model of that name serves this endpoint.")


class Completions:
    """Parses, finds the tiers, asks them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The endpoints."""
        return [
            *(
                Route("POST", path, functools.partial(self._answer, parse, self._complete))
                for path, parse in PATHS.items()
            ),
            *(
                Route("POST", f"/v1/{name}", functools.partial(self._answer, parse, self._forward))
                for name, parse in _FORWARDED.items()
            ),
            Route("POST", "/v1/messages/count_tokens", self._count),
        ]

    async def _answer(
        self,
        parse: Callable[[bytes], _Call],
        serve: Serve[_Call],
        request: Request,
        exchange: Exchange,
    ) -> None:
        """Parse, and serve when it may be; say so when it can't."""
        state = self._state
        if state.full:
            state.tally.turned_away += 1
            exchange.last()
            message = "Too many requests at once."
            refuse(request, exchange, 503, "server_busy", message, retry_after_s=1)
            return
        try:
            call = parse(request.body)
            await state.hold.enter()
            try:
                refusal = await serve(call, request, exchange)
            finally:
                state.hold.leave()
        except BadRequestError as error:
            refusal = Refusal(400, error.kind, error.message)
        except HoldFullError as error:
            message = "Too many requests are waiting."
            refusal = Refusal(503, "server_busy", message, error.retry_after_s)
        if refusal is not None:
            told = state.live.config.decision_headers
            refuse(
                request,
                exchange,
                refusal.status,
                refusal.kind,
                refusal.message,
                *((("x-anvil-decision-id", exchange.request_id),) if told else ()),
                retry_after_s=refusal.retry_after_s,
            )

    async def _complete(self, call: Call, request: Request, exchange: Exchange) -> Refusal | None:
        # Only now: what was held is served by the configuration that ended the hold.
        live = self._state.live
        choice = live.choices.get(call.model) or route.resolve(live.config, call.model)
        _note(exchange, call.dialect.value, choice, stream=call.stream)
        betas = request.headers.get("anthropic-beta", "")

        def attempt(bound: BoundTier, tried: Sequence[str]) -> Attempt:
            return Attempt(
                call, choice, bound, exchange, config=live.config, tried=tried, betas=betas
            )

        candidates = live.usable(choice.candidates)
        return await walk.serve(candidates, attempt, live.config, self._state.pool, exchange)

    async def _forward(
        self, call: Forwarded, _request: Request, exchange: Exchange
    ) -> Refusal | None:
        live = self._state.live
        choice = live.choices.get(call.model) or route.resolve(live.config, call.model)
        bound = [
            each for each in live.usable(choice.candidates) if call.endpoint in each.passthrough
        ]
        # A guess would do harm: vectors of one model mean nothing beside those of another.
        if not bound or choice.source is Source.INFERRED:
            return _NOBODY
        _note(exchange, call.endpoint, choice, stream=call.stream)

        def attempt(tier: BoundTier, tried: Sequence[str]) -> Forward:
            return Forward(call, choice, tier, exchange, config=live.config, tried=tried)

        return await walk.serve(bound, attempt, live.config, self._state.pool, exchange)

    async def _count(self, request: Request, exchange: Exchange) -> None:
        state = self._state
        try:
            call = calls.parse_counted(request.body)
        except BadRequestError as error:
            refuse(request, exchange, 400, error.kind, error.message)
            return
        live = state.live
        choice = live.choices.get(call.model) or route.resolve(live.config, call.model)
        found = None
        # A count takes no part in the hold: an engine may be about to stop, and is asked or not.
        for bound in live.usable(choice.candidates)[:1]:
            if not (state.full or state.hold.held):
                found = await counting.exact(call, bound, state.pool)
        tokens = counting.estimate(call) if found is None else found
        how = ("x-anvil-token-count", "estimate" if found is None else "exact")
        exchange.reply(200, msgspec.json.encode({"input_tokens": tokens}), headers=(how,))


def _note(exchange: Exchange, dialect: str, choice: Choice, *, stream: bool) -> None:
    exchange.fields.update(
        dialect=dialect, stream=stream, source=choice.source.value, preset=choice.preset
    )
