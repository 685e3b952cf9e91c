"""Proof before requests meet a configuration: that it loads, and that its presets answer."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from anvil_ctl.errors import AnvilError
from anvil_ctl.router import config as configs
from anvil_ctl.router.completions import Completions
from anvil_ctl.router.dialects.call import BadRequestError
from anvil_ctl.router.overview import Overview
from anvil_ctl.router.refuse import refuse
from anvil_ctl.serving.envelope import openai_error
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route


class Proof:
    """POST /admin/check reads a configuration and leaves it, /admin/route says whom a request would
    be sent to first, and /admin/prove is a chat completion that is answered while everybody else's
    wait."""

    def __init__(self, completions: Completions, overview: Overview) -> None:
        self._completions = completions
        self._overview = overview

    def routes(self) -> list[Route]:
        """The endpoints, for the admin listener."""
        return [
            Route("POST", "/admin/check", self._check),
            Route("POST", "/admin/route", self._route),
            Route("POST", "/admin/prove", self._completions.answer_now),
        ]

    async def _route(self, request: Request, exchange: Exchange) -> None:
        """The first tier's id, or null where the configuration lets nobody answer: which is an
        answer here, so that a refusal means that the question could not be put."""
        try:
            judged, _question = self._overview.judged(request)
        except BadRequestError as error:
            refuse(request, exchange, HTTPStatus.BAD_REQUEST, error.kind, error.message)
            return
        candidates = judged.decision.candidates
        tier = candidates[0].tier.id if candidates else None
        exchange.reply(HTTPStatus.OK, msgspec.json.encode({"tier": tier}))

    async def _check(self, request: Request, exchange: Exchange) -> None:
        """The body is a configuration file's text; the answer is what this very loader says."""
        try:
            config = configs.parse(request.body, "router.toml")
        except AnvilError as error:
            body = openai_error("invalid_request", error.message)
            exchange.reply(HTTPStatus.BAD_REQUEST, body)
            return
        said = {
            "mode": config.mode,
            "config_hash": config.hash,
            "tiers": [tier.id for tier in config.tiers],
            "presets": list(config.presets),
            "warnings": list(config.warnings),
        }
        exchange.reply(HTTPStatus.OK, msgspec.json.encode(said))
