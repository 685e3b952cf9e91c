"""The router's endpoints, and what ties parsing, routing and relaying together."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import unquote

import msgspec

from anvil_ctl import __version__
from anvil_ctl.router import discovery, route, walk
from anvil_ctl.router.bound import Live
from anvil_ctl.router.config import Config
from anvil_ctl.router.dialects import call as calls
from anvil_ctl.router.dialects import responses_request
from anvil_ctl.router.dialects.call import BadRequestError, Call, Dialect
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.envelope import anthropic_error, openai_error, refusal
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold, HoldFullError
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route, Routes
from anvil_ctl.upstream.client import Pool

Parse = Callable[[bytes], Call]
_COMPLETIONS: dict[str, Parse] = {
    "/v1/chat/completions": functools.partial(calls.parse, Dialect.OPENAI),
    "/v1/messages": functools.partial(calls.parse, Dialect.ANTHROPIC),
    "/v1/responses": responses_request.parse,
}


def envelope(path: str, _status: int, kind: str, message: str) -> bytes:
    """An error body in the dialect of the path that it answers."""
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return anthropic_error(kind, message)
    return openai_error(kind, message)


class Router:
    """The data plane. `load` reads the configuration file again for a reload."""

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        *,
        pool: Pool,
        hold: Hold,
        max_concurrency: int,
    ) -> None:
        self._live = Live(config, pool)
        self._load = load
        self._pool = pool
        self._hold = hold
        self._max_concurrency = max_concurrency
        self._started = asyncio.get_running_loop().time()

    def app(self, auth: Auth) -> Routes:
        """The App to listen with."""
        complete = [
            Route("POST", path, functools.partial(self._complete, parse))
            for path, parse in _COMPLETIONS.items()
        ]
        return Routes(
            [
                *complete,
                Route("GET", "/v1/models", self._models),
                Route("GET", "/v1/models/*", self._model),
                Route("GET", "/health", self._health),
                Route("GET", "/healthz", self._health, open=True),
                Route("GET", "/readyz", self._ready, open=True),
            ],
            auth=auth,
            envelope=envelope,
        )

    # Control

    def status(self) -> dict[str, object]:
        """The router's part of the admin status."""
        config = self._live.config
        tiers = [
            {
                "id": bound.tier.id,
                "engine": bound.tier.engine,
                "model": bound.tier.model,
                "swap_group": bound.tier.swap_group,
                "in_flight": bound.in_flight,
            }
            for bound in self._live.tiers
        ]
        presets = {name: list(pool) for name, pool in config.presets.items()}
        return {
            "mode": config.mode,
            "config_hash": config.hash,
            "mapping_version": config.mapping_version,
            "tiers": tiers,
            "presets": presets,
        }

    async def reload(self) -> None:
        """Use the file as it is now for requests from now on. Raises ConfigError."""
        # Off the loop: a slow disk must not stop the streams.
        config = await asyncio.to_thread(self._load)
        self._live = Live(config, self._pool)

    # endpoints

    async def _complete(self, parse: Parse, request: Request, exchange: Exchange) -> None:
        if not self._hold.held and self._hold.in_flight >= self._max_concurrency:
            exchange.last()
            self._refuse(
                request, exchange, 503, "server_busy", "Too many requests at once.", retry_after_s=1
            )
            return
        try:
            call = parse(request.body)
            await self._hold.enter()
            try:
                await self._serve(call, request, exchange)
            finally:
                self._hold.leave()
        except BadRequestError as error:
            self._refuse(request, exchange, 400, error.kind, error.message)
        except HoldFullError as error:
            message = "Too many requests are waiting."
            wait_s = error.retry_after_s
            self._refuse(request, exchange, 503, "server_busy", message, retry_after_s=wait_s)

    async def _serve(self, call: Call, request: Request, exchange: Exchange) -> None:
        # Only now: what was held is served by the configuration that ended the hold.
        live = self._live
        choice = live.choices.get(call.model) or route.resolve(live.config, call.model)
        exchange.fields.update(
            dialect=call.dialect.value,
            stream=call.stream,
            source=choice.source.value,
            preset=choice.preset,
        )
        betas = request.headers.get("anthropic-beta", "")
        refused = await walk.serve(call, choice, live, self._pool, exchange, betas=betas)
        if refused is not None:
            self._refuse(
                request,
                exchange,
                refused.status,
                refused.kind,
                refused.message,
                retry_after_s=refused.retry_after_s,
            )

    async def _models(self, _request: Request, exchange: Exchange) -> None:
        exchange.reply(HTTPStatus.OK, discovery.listing(self._live.config))

    async def _model(self, request: Request, exchange: Exchange) -> None:
        name = unquote(request.path.removeprefix("/v1/models/"))
        body = discovery.one(self._live.config, name)
        if body is None:
            self._refuse(request, exchange, 404, "not_found", "No such model.")
        else:
            exchange.reply(HTTPStatus.OK, body)

    async def _health(self, _request: Request, exchange: Exchange) -> None:
        config = self._live.config
        uptime = asyncio.get_running_loop().time() - self._started
        body = {
            "status": "ok",
            "dialects": sorted(Dialect),
            "routes": sorted(_COMPLETIONS),
            "version": __version__,
            "mode": config.mode,
            "mapping_version": config.mapping_version,
            "uptime_s": round(uptime, 3),
            "draining": self._hold.held,
        }
        exchange.reply(HTTPStatus.OK, msgspec.json.encode(body))

    async def _ready(self, _request: Request, exchange: Exchange) -> None:
        # A configuration in use has a usable tier, or it would not have been taken.
        exchange.reply(HTTPStatus.OK, b'{"status":"ready"}')

    def _refuse(
        self,
        request: Request,
        exchange: Exchange,
        status: int,
        kind: str,
        message: str,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        headers = () if retry_after_s is None else (("retry-after", str(retry_after_s)),)
        exchange.send(refusal(envelope, request.path, status, kind, message, *headers))
