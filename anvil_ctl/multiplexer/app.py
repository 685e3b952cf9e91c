"""The multiplexer's HTTP surface: leases, the models' own endpoints, health and administration."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from anvil_ctl.multiplexer import view
from anvil_ctl.multiplexer.lease import lend
from anvil_ctl.multiplexer.loop import Loop
from anvil_ctl.multiplexer.model import Refusal, RefusedError, UnknownModelError
from anvil_ctl.multiplexer.registry import Registry
from anvil_ctl.multiplexer.relay import relay
from anvil_ctl.multiplexer.ticket import Ticket
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.envelope import anthropic_error, openai_error
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold, HoldFullError
from anvil_ctl.serving.logs import milliseconds
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route, Routes
from anvil_ctl.upstream.client import Pool

RELAYED = ("/v1/chat/completions", "/v1/completions", "/v1/messages")


class _Asked(msgspec.Struct):
    """What the multiplexer reads of a body; the rest is the engine's."""

    model: str


def envelope(path: str, _status: int, kind: str, message: str) -> bytes:
    """Errors in the dialect of the path."""
    make = anthropic_error if path == "/v1/messages" else openai_error
    return make(kind, message)


class Multiplexer:
    """One registry's models behind one port. Implements what the admin API asks of a server."""

    def __init__(self, loop: Loop, load: Callable[[], Registry], *, pool: Pool, hold: Hold) -> None:
        self._loop = loop
        self._load = load
        self._pool = pool
        self._hold = hold

    def app(self, auth: Auth) -> Routes:
        """What the data port serves."""
        routes = [
            Route("GET", "/healthz", self._healthz, open=True),
            Route("GET", "/metrics", self._metrics, open=True),
            Route("GET", "/v1/models", self._models),
            Route("POST", "/v1/lease", self._lease),
            *(Route("POST", path, self._relay) for path in RELAYED),
        ]
        return Routes(routes, auth=auth, envelope=envelope)

    # administration

    def status(self) -> Mapping[str, object]:
        """The multiplexer's part of the admin status."""
        return {
            "mode": self._loop.registry.mode,
            "config_hash": self._loop.registry.digest,
            **view.status(self._loop.scheduler, self._loop.now(), self._loop.verdicts()),
        }

    async def reload(self) -> None:
        """Take the registry as it is now. ConfigError leaves the old one in place."""
        await self._loop.replace(self._load())

    async def stop_all(self) -> Mapping[str, object]:
        """Drain and stop all residents; names what stopped, and why what didn't is still there."""
        outcome = await self._loop.stop_all()
        return {
            "stopped": [name for name, error in outcome.items() if error is None],
            "failed": {name: error for name, error in outcome.items() if error is not None},
        }

    # data

    async def _healthz(self, _request: Request, exchange: Exchange) -> None:
        loop = self._loop
        said = view.healthz(loop.scheduler, loop.now(), time.time(), loop.verdicts())
        exchange.reply(200, msgspec.json.encode(said))

    async def _metrics(self, _request: Request, exchange: Exchange) -> None:
        from anvil_ctl.multiplexer import exposition  # noqa: PLC0415 - the library is not free

        body = exposition.text(self._loop.scheduler, self._loop.now())
        exchange.reply(200, body, content_type=exposition.CONTENT_TYPE)

    async def _models(self, _request: Request, exchange: Exchange) -> None:
        exchange.reply(200, msgspec.json.encode(view.models(self._loop.scheduler)))

    async def _lease(self, request: Request, exchange: Exchange) -> None:
        async def use(ticket: Ticket) -> None:
            await lend(self._loop, ticket, exchange)

        await self._with_ticket(request, exchange, use)

    async def _relay(self, request: Request, exchange: Exchange) -> None:
        async def use(ticket: Ticket) -> None:
            await ticket.granted()
            exchange.fields["waited_ms"] = milliseconds(self._loop.now() - ticket.asked_at)
            model = self._loop.scheduler.models.get(ticket.model)
            if model is not None:
                await relay(self._loop, self._pool, model, request, exchange)

        await self._with_ticket(request, exchange, use)

    async def _with_ticket(
        self, request: Request, exchange: Exchange, use: Callable[[Ticket], Awaitable[None]]
    ) -> None:
        """Ask for the model of the body and leave it on every way out, a cancel included."""
        try:
            name = msgspec.json.decode(request.body, type=_Asked).model
        except msgspec.DecodeError:
            _refuse(request, exchange, 400, "invalid_request", _BAD_BODY)
            return
        exchange.fields["model"] = name
        try:
            async with self._hold.admitted():
                ticket = self._loop.ask(name, interactive=_is_interactive(request))
                try:
                    await use(ticket)
                finally:
                    self._loop.leave(ticket)
        except UnknownModelError as error:
            _refuse(request, exchange, 404, "model_not_found", error.message)
        except HoldFullError as error:
            _turn_away(request, exchange, Refusal(503, "busy", error.message, error.retry_after_s))
        except RefusedError as error:
            _turn_away(request, exchange, error.refusal)


_BAD_BODY = "The body must be a JSON object whose `model` is a string."


def _is_interactive(request: Request) -> bool:
    """Whether somebody sits there and waits: such a request may go first, once."""
    return request.headers.get("x-anvil-urgency", "").lower() == "interactive"


def _refuse(request: Request, exchange: Exchange, status: int, kind: str, message: str) -> None:
    exchange.fields["refused"] = kind
    exchange.reply(status, envelope(request.path, status, kind, message))


def _turn_away(request: Request, exchange: Exchange, refusal: Refusal) -> None:
    exchange.fields["refused"] = refusal.code
    body = envelope(request.path, refusal.status, refusal.code, refusal.message)
    retry = (("retry-after", str(refusal.retry_after_s)),)
    exchange.reply(refusal.status, body, headers=retry)
