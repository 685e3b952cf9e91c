"""The router: its endpoints put together, and what its administrator may see and change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from anvil_ctl.router.bound import Live
from anvil_ctl.router.completions import Completions
from anvil_ctl.router.config import Config
from anvil_ctl.router.overview import Overview
from anvil_ctl.router.profile.keeper import open_profile
from anvil_ctl.router.profile_admin import ProfileAdmin
from anvil_ctl.router.proof import Proof
from anvil_ctl.router.refuse import envelope
from anvil_ctl.router.state import State
from anvil_ctl.serving.aftermath import Take
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.routes import Route, Routes
from anvil_ctl.upstream.client import Pool


class Router:
    """The data plane. `load` reads the configuration file again for a reload.

    `logs`: what else is done with requests that are over, besides keeping what was decided.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        *,
        pool: Pool,
        hold: Hold,
        max_concurrency: int,
        logs: Sequence[Take] = (),
    ) -> None:
        self._load = load
        live = Live(config, pool, open_profile(config))
        self._state = State(live, pool, hold, max_concurrency, logs)
        # To be told of each request that is over.
        self.finished = self._state.finished
        live.probe.look()

    def app(self, auth: Auth) -> Routes:
        """The App to listen with."""
        return Routes(self.routes(), auth=auth, envelope=envelope)

    def routes(self) -> list[Route]:
        """Every endpoint."""
        return [*Completions(self._state).routes(), *Overview(self._state).routes()]

    def admin_routes(self) -> list[Route]:
        """What the administrator's listener has besides the verbs of every server."""
        overview = Overview(self._state)
        proof = Proof(Completions(self._state), overview)
        log = Route("GET", "/admin/decisions", overview.log)
        return [*ProfileAdmin(self._state).routes(), *proof.routes(), log]

    def status(self) -> dict[str, object]:
        """The router's part of the admin status."""
        return self._state.status()

    async def reload(self) -> None:
        """Use the file as it is now for requests from now on. Raises ConfigError."""
        # Off the loop: a slow disk must not stop the streams.
        config = await asyncio.to_thread(self._load)
        keeper = await asyncio.to_thread(open_profile, config)
        self._state.live = Live(config, self._state.pool, keeper, self._state.live)
        self._state.live.probe.look()

    async def close(self) -> None:
        """Write what is still to be written of the decisions."""
        await self._state.close()
