"""The router: its endpoints put together, and what its administrator may see and change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from anvil_ctl.router.bound import Live
from anvil_ctl.router.completions import Completions
from anvil_ctl.router.config import Config
from anvil_ctl.router.overview import Overview
from anvil_ctl.router.refuse import envelope
from anvil_ctl.router.state import State
from anvil_ctl.serving.auth import Auth
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.message import Request
from anvil_ctl.serving.routes import Route, Routes
from anvil_ctl.upstream.client import Pool

Finished = Callable[[Request, Exchange], None]


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
        self._load = load
        self._state = State(Live(config, pool), pool, hold, max_concurrency)

    def app(self, auth: Auth) -> Routes:
        """The App to listen with."""
        return Routes(self.routes(), auth=auth, envelope=envelope)

    def routes(self) -> list[Route]:
        """Every endpoint."""
        return [*Completions(self._state).routes(), *Overview(self._state).routes()]

    def finished(self, log: Finished) -> Finished:
        """What to do with each request at its end: log it, and keep what was decided."""
        keep = self._state.finished

        def finish(request: Request, exchange: Exchange) -> None:
            log(request, exchange)
            keep(request, exchange)

        return finish

    def status(self) -> dict[str, object]:
        """The router's part of the admin status."""
        return self._state.status()

    async def reload(self) -> None:
        """Use the file as it is now for requests from now on. Raises ConfigError."""
        # Off the loop: a slow disk must not stop the streams.
        config = await asyncio.to_thread(self._load)
        self._state.live = Live(config, self._state.pool, self._state.live)
