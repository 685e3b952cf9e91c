"""The endpoints that ask engines: completions in every dialect, passed-on requests, counts."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from anvil_ctl.router import counting, waiting
from anvil_ctl.router import refusal as refusals
from anvil_ctl.router.attempt import Attempt
from anvil_ctl.router.bound import BoundTier, Live
from anvil_ctl.router.config import PASSTHROUGH
from anvil_ctl.router.deadline import HEADER, LATE, NEVER, Deadline, deadline
from anvil_ctl.router.decided import exhausted, judged_words
from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects import forwarded, responses_request
from anvil_ctl.router.dialects.call import BadRequestError, Call, Dialect
from anvil_ctl.router.dialects.forwarded import Forwarded
from anvil_ctl.router.forward import Forward
from anvil_ctl.router.judgement.intent import Hints, Source, hinted
from anvil_ctl.router.judgement.judge import judge, judge_forwarded
from anvil_ctl.router.judgement.plan import unchecked
from anvil_ctl.router.judgement.policy import Candidate, Decision
from anvil_ctl.router.judgement.reading import read
from anvil_ctl.router.judgement.sessions import session_of
from anvil_ctl.router.refusal import Refusal
from anvil_ctl.router.refuse import refuse
from anvil_ctl.router.state import State
from anvil_ctl.router.walk import Walk
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
_Call = TypeVar("_Call", Call, Forwarded)
Serve = Callable[[_Call, Request, Exchange, Deadline], Awaitable[Refusal | None]]
_NO_SUCH = Refusal(404, "not_found", "No model of that name serves this endpoint.")


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
            most_s = state.live.config.judgement.fallback.deadline_s
            until = deadline(request.headers.get(HEADER), most_s, exchange.started_at)
            if state.hold.entered() or await self._admitted(call, request, exchange, until):
                try:
                    refusal = await serve(call, request, exchange, until)
                finally:
                    state.hold.leave()
            else:
                refusal = LATE
        except BadRequestError as error:
            refusal = Refusal(400, error.kind, error.message)
        except HoldFullError as error:
            refusal = waiting.turned_away(error)
        if refusal is not None:
            self._refuse(refusal, request, exchange)

    async def _admitted(
        self, call: Call | Forwarded, request: Request, exchange: Exchange, until: Deadline
    ) -> bool:
        """Wait for the end of a hold; False where that takes too long."""
        hold = self._state.hold
        try:
            async with asyncio.timeout(None if until is NEVER else until.left_s):
                await waiting.enter(hold, call, request, exchange)
        except TimeoutError:
            return False
        return True

    def _refuse(self, refusal: Refusal, request: Request, exchange: Exchange) -> None:
        told = self._state.live.config.decision_headers
        refuse(
            request,
            exchange,
            refusal.status,
            refusal.kind,
            refusal.message,
            *((("x-anvil-decision-id", exchange.request_id),) if told else ()),
            retry_after_s=refusal.retry_after_s,
        )

    async def answer_now(self, request: Request, exchange: Exchange) -> None:
        """A chat completion that no hold keeps and no check looks at: for the administrator."""
        try:
            call = PATHS["/v1/chat/completions"](request.body)
            refusal = await self._complete(call, request, exchange, NEVER, checked=False)
        except BadRequestError as error:
            refusal = Refusal(400, error.kind, error.message)
        if refusal is not None:
            self._refuse(refusal, request, exchange)

    async def _complete(
        self,
        call: Call,
        request: Request,
        exchange: Exchange,
        until: Deadline,
        *,
        checked: bool = True,
    ) -> Refusal | None:
        # Only now: what was held is served by the configuration that ended the hold.
        live = self._state.live
        config = live.config if checked else unchecked(live.config)
        name = live.named(call.model)
        if name.source is Source.INFERRED and not live.config.judgement.substitution:
            return refusals.UNKNOWN_NAME
        hints, reading = hints_of(request), read(call.raw)
        session = None
        if live.config.judgement.policy.stickiness:
            session = session_of(call.raw, reading.beginning, hints.session)
        now = live.now(session, alone=name.alone)
        judged = judge(live.config, name, reading, live.profile, now, hints=hints)
        intent, decision = judged.intent, judged.decision
        exchange.note(judged_words, call.dialect, config, intent, decision, call.stream, session)
        if not decision.candidates:
            return _nobody(live, decision, call.model, exchange)
        betas = request.headers.get("anthropic-beta", "")

        last: Attempt | None = None

        def attempt(bound: BoundTier, candidate: Candidate, tried: Sequence[str]) -> Attempt:
            nonlocal last
            last = Attempt(
                call,
                judged,
                candidate,
                bound,
                exchange,
                config=config,
                tried=tried,
                until=until,
                betas=betas,
            )
            return last

        signs = None
        if config.judgement.early_commit:
            signs = waiting.early(call, exchange, self._state.hold.bounds.silence_s)
        try:
            pool = self._state.pool
            walk = Walk(live, pool, exchange, judged, session=session, until=until)
            refusal = await walk.serve(attempt)
        finally:
            if signs is not None:
                signs.stop()
        if refusal is None and last is not None and last.looks_back:
            await last.look_back()
        return refusal

    async def _forward(
        self, call: Forwarded, _request: Request, exchange: Exchange, until: Deadline
    ) -> Refusal | None:
        live = self._state.live
        name = live.named(call.model)
        judged = judge_forwarded(live.config, name, live.profile, live.now())
        able = tuple(
            each for each in judged.decision.candidates if call.endpoint in each.tier.passthrough
        )
        # A guess would do harm: vectors of one model mean nothing beside those of another.
        if not able or name.source is Source.INFERRED:
            return _NO_SUCH
        decision = msgspec.structs.replace(judged.decision, candidates=able)
        judged = msgspec.structs.replace(judged, decision=decision)
        config, intent = live.config, judged.intent
        exchange.note(judged_words, call.endpoint, config, intent, decision, call.stream, None)

        def attempt(bound: BoundTier, candidate: Candidate, tried: Sequence[str]) -> Forward:
            return Forward(
                call,
                judged,
                candidate,
                bound,
                exchange,
                config=config,
                tried=tried,
                until=until,
            )

        walk = Walk(live, self._state.pool, exchange, judged, until=until)
        return await walk.serve(attempt)

    async def _count(self, request: Request, exchange: Exchange) -> None:
        state = self._state
        try:
            call = calls.parse_counted(request.body)
        except BadRequestError as error:
            refuse(request, exchange, 400, error.kind, error.message)
            return
        live = state.live
        hints = hints_of(request)
        judged = judge(
            live.config,
            live.named(call.model),
            read(call.raw),
            live.profile,
            live.now(),
            hints=hints,
        )
        found = None
        # A count takes no part in the hold: an engine may be about to stop, and is asked or not.
        for candidate in judged.decision.candidates[:1]:
            if not (state.full or state.hold.held):
                found = await counting.exact(call, live.bound(candidate.tier), state.pool)
        tokens = judged.reading.total.expected if found is None else found
        how = ("x-anvil-token-count", "estimate" if found is None else "exact")
        exchange.reply(200, msgspec.json.encode({"input_tokens": tokens}), headers=(how,))


def _nobody(live: Live, decision: Decision, model: str, exchange: Exchange) -> Refusal:
    """The refusal where no tier may even be asked."""
    refusal = refusals.nobody(decision, model, live.config.exhaustion_status)
    exhausted(exchange, refusal, decision)
    return refusal


def hints_of(request: Request) -> Hints:
    """What the caller's headers say."""
    get = request.headers.get
    return hinted(
        get("x-anvil-intent"),
        get("x-anvil-work-class"),
        get("x-anvil-session"),
        get("x-anvil-no-cloud"),
    )
