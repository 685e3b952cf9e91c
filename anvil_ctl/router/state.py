"""What all endpoints of one router share."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from anvil_ctl.router.bound import Live
from anvil_ctl.router.config import Config
from anvil_ctl.router.decision_log import DecisionLog, LogFile
from anvil_ctl.router.profile.keeper import state_folder
from anvil_ctl.router.records import Ended, Records
from anvil_ctl.router.tally import Tally
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold
from anvil_ctl.serving.message import Request
from anvil_ctl.upstream.client import Pool

# So many requests are kept and counted in one go, and none later than after so many seconds.
_TOGETHER = 16
_SETTLE_S = 0.1


class State:
    """The configuration in use, and what has been going on. `live` is replaced by a reload."""

    def __init__(self, live: Live, pool: Pool, hold: Hold, max_concurrency: int) -> None:
        self.live = live
        self.pool = pool
        self.hold = hold
        self.max_concurrency = max_concurrency
        log = live.config.judgement.log
        self._records = Records(log.ring)
        path = log_path(live.config)
        file = LogFile(path, max_bytes=log.max_bytes, keep=log.keep) if path is not None else None
        self.decision_log = None if file is None else DecisionLog(file)
        self._tally = Tally()
        self._ended: list[Ended] = []
        self._timer: asyncio.TimerHandle | None = None
        self.started_at = time.monotonic()

    @property
    def full(self) -> bool:
        """Whether no further request may be served now. While held, they wait and are counted."""
        return not self.hold.held and self.hold.in_flight >= self.max_concurrency

    @property
    def uptime_s(self) -> float:
        """Seconds since the router was made."""
        return round(time.monotonic() - self.started_at, 3)

    @property
    def records(self) -> Records:
        """What was decided for the last requests."""
        self._settle()
        return self._records

    @property
    def tally(self) -> Tally:
        """The counts of all requests until now."""
        self._settle()
        return self._tally

    def turn_away(self) -> None:
        """Count a request for which there was no room."""
        self._tally.turned_away += 1

    def finished(self, request: Request, exchange: Exchange) -> None:
        """Keep and count a request that has been answered or cut off, if it was routed.

        Not at once: the next request goes first, and many together take half the time. Whoever
        looks sees all of them.
        """
        if "source" in exchange.fields:
            seconds = time.monotonic() - exchange.started_at
            self._ended.append((request, exchange, time.time(), seconds))
            if len(self._ended) >= _TOGETHER:
                self._settle()
            elif self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(_SETTLE_S, self._settle)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._ended = self._ended, []
        for each in ended:
            record = self._records.add(each)
            if self.decision_log is not None:
                self.decision_log.add(record)
            _request, exchange, _at, seconds = each
            self._tally.add(exchange.fields, exchange.status, seconds)

    async def close(self) -> None:
        """Write what is still to be written."""
        self._settle()
        if self.decision_log is not None:
            await self.decision_log.close()

    def status(self) -> dict[str, object]:
        """What is configured and what is under way."""
        config = self.live.config
        tiers = [
            {
                "id": bound.tier.id,
                "engine": bound.tier.engine,
                "model": bound.tier.model,
                "dialect": bound.tier.dialect.value,
                "context_limit": bound.tier.context_limit,
                "local": bound.tier.local,
                "passthrough": sorted(bound.tier.passthrough),
                "swap_group": bound.tier.swap_group,
                "in_flight": bound.slots.in_flight,
                "waiting": bound.slots.waiting,
                "circuit": self.live.experience.circuit(bound.tier).value,
            }
            for bound in self.live.tiers
        ]
        presets = {name: list(pool) for name, pool in config.presets.items()}
        return {
            "mode": config.mode,
            "config_hash": config.hash,
            "mapping_version": config.mapping_version,
            "tiers": tiers,
            "presets": presets,
        }


def log_path(config: Config) -> Path | None:
    """Where decisions are written: the path that is set, else a file in the state's folder."""
    named, state = config.judgement.log.path, state_folder(config)
    if named is not None:
        return Path(config.file).parent / Path(named).expanduser()
    return None if state is None else state / "decisions.jsonl"
