"""The administrator's view of the profile: what is trusted with what, why not, and setting it."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from anvil_ctl.errors import AnvilError
from anvil_ctl.router.judgement.work import Work
from anvil_ctl.router.profile.row import Verdict
from anvil_ctl.router.state import State
from anvil_ctl.serving.envelope import openai_error
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route


class _Grade(msgspec.Struct, forbid_unknown_fields=True):
    tier: str
    work_class: Work
    verdict: Verdict | None = None
    score: float | None = None
    measured: str | None = None
    weight: int = 1
    fingerprint: str | None = None


class ProfileAdmin:
    """GET /admin/profile, and POST /admin/profile with a grade or a verdict for one row."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The endpoints, for the admin listener."""
        return [
            Route("GET", "/admin/profile", self._show),
            Route("POST", "/admin/profile", self._grade),
        ]

    async def _show(self, _request: Request, exchange: Exchange) -> None:
        live = self._state.live
        body = {
            "mode": live.config.mode,
            "source": live.keeper.source,
            "rows": live.keeper.table(),
        }
        exchange.reply(HTTPStatus.OK, msgspec.json.encode(body))

    async def _grade(self, request: Request, exchange: Exchange) -> None:
        live = self._state.live
        try:
            said = _read(request.body)
            tier = live.config.tier(said.tier)
            row = await live.keeper.grade(
                tier,
                said.work_class,
                score=said.score,
                verdict=said.verdict,
                measured=said.measured,
                weight=said.weight,
                graded=said.fingerprint,
            )
        except AnvilError as error:
            _refuse(exchange, "; ".join(filter(None, (error.message, error.hint))))
        else:
            body = {
                "tier": tier.id,
                "work_class": said.work_class,
                "verdict": row.effective,
                "score": row.score,
                "samples": row.samples,
            }
            exchange.reply(HTTPStatus.OK, msgspec.json.encode(body))


def _read(body: bytes) -> _Grade:
    try:
        said = msgspec.json.decode(body, type=_Grade)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnvilError(str(error)) from error
    if said.verdict is None and said.score is None:
        raise AnvilError("a verdict or a score is needed")
    return said


def _refuse(exchange: Exchange, message: str) -> None:
    exchange.reply(HTTPStatus.BAD_REQUEST, openai_error("invalid_request", message))
