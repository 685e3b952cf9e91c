"""The endpoints that ask no engine: what there is, what would be done, what has been done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

import msgspec

from anvil_ctl import __version__
from anvil_ctl.router import completions, discovery, explain, records
from anvil_ctl.router import refusal as refusals
from anvil_ctl.router.completions import hints_of
from anvil_ctl.router.config import Metrics
from anvil_ctl.router.dialects.call import BadRequestError, Dialect, read_object
from anvil_ctl.router.judgement.judge import Judged, judge
from anvil_ctl.router.judgement.reading import read
from anvil_ctl.router.refuse import refuse
from anvil_ctl.router.state import State
from anvil_ctl.serving.envelope import openai_error
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route

_DECISIONS = 50
_LINES = "application/jsonl"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Overview:
    """Answers from the router's own state, whatever the engines do."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The endpoints. Health is open to everybody and says nothing about tiers."""
        metrics = self._state.live.config.metrics
        scraped = Route("GET", "/metrics", self._metrics, open=metrics is Metrics.OPEN)
        return [
            Route("GET", "/v1/models", self._models),
            Route("GET", "/v1/models/*", self._model),
            Route("POST", "/v1/route", self.route),
            Route("GET", "/v1/status", self._status),
            Route("GET", "/v1/decisions", self._decisions),
            Route("GET", "/health", self._health),
            Route("GET", "/healthz", self._health, open=True),
            Route("GET", "/readyz", self._ready, open=True),
            *([] if metrics is Metrics.OFF else [scraped]),
        ]

    async def _models(self, _request: Request, exchange: Exchange) -> None:
        exchange.reply(HTTPStatus.OK, discovery.listing(self._state.live.config))

    async def _model(self, request: Request, exchange: Exchange) -> None:
        name = unquote(request.path.removeprefix("/v1/models/"))
        body = discovery.one(self._state.live.config, name)
        if body is None:
            refuse(request, exchange, 404, "not_found", "No such model.")
        else:
            exchange.reply(HTTPStatus.OK, body)

    async def route(self, request: Request, exchange: Exchange) -> None:
        """Who would be asked, and nobody is."""
        live = self._state.live
        try:
            judged, question = self.judged(request)
        except BadRequestError as error:
            refuse(request, exchange, 400, error.kind, error.message)
            return
        if not judged.decision.candidates:
            self._nobody(request, exchange, judged, whole=question.whole)
            return
        session = f"rte_{os.urandom(12).hex()}"
        _reply(
            exchange,
            explain.answer(
                live.config, judged, exchange.request_id, session=session, whole=question.whole
            ),
        )

    def judged(self, request: Request) -> tuple[Judged, explain.Question]:
        """The decision on a request's body, and what it asked. Raises BadRequestError."""
        live = self._state.live
        raw = read_object(request.body)
        question = explain.asked(live.config, raw)
        judged = judge(
            live.config,
            question.name,
            read(raw),
            live.profile,
            live.now(),
            hints=hints_of(request),
            at_least=question.at_least,
        )
        return judged, question

    def _nobody(self, request: Request, exchange: Exchange, judged: Judged, *, whole: bool) -> None:
        """Say what a completion would be refused with, and why if that is asked."""
        status = self._state.live.config.exhaustion_status
        refused = refusals.nobody(judged.decision, "asked for", status)
        if not whole:
            refuse(request, exchange, refused.status, refused.kind, refused.message)
            return
        body = {
            **msgspec.json.decode(openai_error(refused.kind, refused.message)),
            "reason": explain.reason(judged),
            "notes": explain.told_notes(judged),
        }
        exchange.reply(refused.status, msgspec.json.encode(body))

    async def _status(self, _request: Request, exchange: Exchange) -> None:
        hold = self._state.hold
        _reply(
            exchange,
            {
                **self._state.status(),
                "version": __version__,
                "held": hold.held,
                "waiting": hold.waiting,
                "in_flight": hold.in_flight,
                "max_concurrency": self._state.max_concurrency,
                "uptime_s": self._state.uptime_s,
            },
        )

    async def _decisions(self, request: Request, exchange: Exchange) -> None:
        asked = parse_qs(request.query, keep_blank_values=True).get("limit", [str(_DECISIONS)])[-1]
        if not (asked.isascii() and asked.isdigit() and 0 < int(asked) <= records.MAX_KEPT):
            message = f"limit: must be a whole number from 1 to {records.MAX_KEPT}"
            refuse(request, exchange, 400, "invalid_request", message)
            return
        _reply(exchange, {"data": self._state.records.newest(int(asked))})

    async def log(self, request: Request, exchange: Exchange) -> None:
        """Everything that was decided and is still on record, as lines of JSON."""
        try:
            lines = await self._state.decisions()
        except OSError as error:
            message = f"the log of decisions can't be read: {error.strerror}"
            refuse(request, exchange, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
            return
        exchange.reply(HTTPStatus.OK, lines, content_type=_LINES)

    async def _metrics(self, _request: Request, exchange: Exchange) -> None:
        # Here and not above: most routers are never scraped, and the library is not small.
        from anvil_ctl.router import exposition, gauges  # noqa: PLC0415

        state = self._state
        text = exposition.text(state.tally, state.live.config.mode, gauges.gauges(state))
        exchange.reply(HTTPStatus.OK, text, content_type=_PROMETHEUS)

    async def _health(self, _request: Request, exchange: Exchange) -> None:
        config = self._state.live.config
        _reply(
            exchange,
            {
                "status": "ok",
                "dialects": sorted(Dialect),
                "routes": sorted([*completions.PATHS, "/v1/route"]),
                "version": __version__,
                "mode": config.mode,
                "mapping_version": config.mapping_version,
                "uptime_s": self._state.uptime_s,
                "draining": self._state.hold.held,
            },
        )

    async def _ready(self, _request: Request, exchange: Exchange) -> None:
        # A configuration in use has a usable tier, or it would not have been taken.
        _reply(exchange, {"status": "ready"})


def _reply(exchange: Exchange, body: Mapping[str, object]) -> None:
    exchange.reply(HTTPStatus.OK, msgspec.json.encode(body))
