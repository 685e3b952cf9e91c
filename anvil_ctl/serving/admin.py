"""The admin API of router and multiplexer: its own port, its own token."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol, TypeVar

import msgspec

from anvil_ctl.errors import AnvilError
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.envelope import openai_error
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route, Routes

ADMIN_TOKEN_ENV = "ANVIL_ADMIN_TOKEN"  # noqa: S105 - the variable's name, not its value

Action = Callable[[], Awaitable[Mapping[str, object]]]


class Control(Protocol):
    """What a server lets its administrator see and change."""

    def status(self) -> Mapping[str, object]:
        """The server's own fields of the status: at least `mode` and `config_hash`."""

    async def reload(self) -> None:
        """Read the configuration again; AnvilError leaves the old one in place."""


class _HoldBody(msgspec.Struct):
    max_s: float
    reason: str = "held by an administrator"
    expected_s: float | None = None


class _DrainBody(msgspec.Struct):
    timeout_s: float


_Body = TypeVar("_Body")


class Admin:
    """The endpoints, over one Control and one Hold. `actions` adds `POST /admin/<name>`, and
    `routes` endpoints of the server's own."""

    def __init__(
        self,
        control: Control,
        hold: Hold,
        *,
        actions: Mapping[str, Action] | None = None,
        routes: Sequence[Route] = (),
    ) -> None:
        self._routes = tuple(routes)
        self._control = control
        self._hold = hold
        self._actions = dict(actions or {})
        self._started = asyncio.get_running_loop().time()

    def app(self, token: str) -> Routes:
        """The App to listen with. Without a token there must be no admin listener at all."""
        routes = [
            Route("GET", "/admin/status", self._status),
            Route("POST", "/admin/hold", self._hold_requests),
            Route("POST", "/admin/drain", self._drain),
            Route("POST", "/admin/release", self._release),
            Route("POST", "/admin/reload", self._reload),
        ]
        routes += [Route("POST", f"/admin/{name}", self._act) for name in self._actions]
        return Routes([*routes, *self._routes], auth=Auth(token))

    def status(self) -> dict[str, object]:
        """The whole status, as GET /admin/status gives it."""
        uptime = asyncio.get_running_loop().time() - self._started
        return {
            **self._control.status(),
            "held": self._hold.held,
            "hold_reason": self._hold.reason,
            "hold_expected_s": self._hold.expected_s,
            "waiting": self._hold.waiting,
            "waiting_bytes": self._hold.waiting_bytes,
            "in_flight": self._hold.in_flight,
            "uptime_s": round(uptime, 3),
        }

    async def _status(self, _request: Request, exchange: Exchange) -> None:
        _answer(exchange, self.status())

    async def _hold_requests(self, request: Request, exchange: Exchange) -> None:
        body = _decode(request, exchange, _HoldBody)
        if body is None:
            return
        if not (math.isfinite(body.max_s) and body.max_s > 0):
            _refuse(exchange, "max_s must be a number of seconds above 0")
            return
        self._hold.hold(body.reason, body.max_s, body.expected_s)
        _answer(exchange, self.status())

    async def _drain(self, request: Request, exchange: Exchange) -> None:
        body = _decode(request, exchange, _DrainBody)
        if body is None:
            return
        drained = await self._hold.drained(max(0.0, body.timeout_s))
        _answer(exchange, {"drained": drained, "in_flight": self._hold.in_flight})

    async def _release(self, _request: Request, exchange: Exchange) -> None:
        self._hold.release()
        _answer(exchange, self.status())

    async def _reload(self, _request: Request, exchange: Exchange) -> None:
        try:
            await self._control.reload()
        except AnvilError as error:
            text = f"{error.message}; {error.hint}" if error.hint else error.message
            _refuse(exchange, text)
            return
        _answer(exchange, self.status())

    async def _act(self, request: Request, exchange: Exchange) -> None:
        _answer(exchange, await self._actions[request.path.removeprefix("/admin/")]())


def _answer(exchange: Exchange, body: Mapping[str, object]) -> None:
    exchange.reply(HTTPStatus.OK, msgspec.json.encode(body))


def _refuse(exchange: Exchange, message: str) -> None:
    exchange.reply(HTTPStatus.BAD_REQUEST, openai_error("invalid_request", message))


def _decode(request: Request, exchange: Exchange, shape: type[_Body]) -> _Body | None:
    try:
        return msgspec.json.decode(request.body, type=shape)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        _refuse(exchange, str(error))
        return None
