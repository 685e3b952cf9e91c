"""What all endpoints of one router share."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from anvil_ctl.router import audit
from anvil_ctl.router.bound import Live
from anvil_ctl.router.config import Config
from anvil_ctl.router.decision_log import DecisionLog, LogFile
from anvil_ctl.router.profile.keeper import state_folder
from anvil_ctl.router.records import Records
from anvil_ctl.router.tally import Tally, outcome
from anvil_ctl.serving.aftermath import Aftermath, Take, wall_clock
from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.hold import Hold
from anvil_ctl.upstream.client import Pool

audit_log = logging.getLogger("anvil.audit")


class State:
    """The configuration in use, and what has been going on. `live` is replaced by a reload.

    `finished` takes each request that is over: `logs` get it, then it is kept and counted if it
    was routed.
    """

    def __init__(
        self, live: Live, pool: Pool, hold: Hold, max_concurrency: int, logs: Sequence[Take] = ()
    ) -> None:
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
        self.finished = Aftermath(*logs, self._write_up)
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
        self.finished.flush()
        return self._records

    @property
    def tally(self) -> Tally:
        """The counts of all requests that are over."""
        self.finished.flush()
        return self._tally

    def _write_up(self, over: Sequence[Exchange]) -> None:
        offset = wall_clock()
        for exchange in over:
            fields = exchange.fields
            if "source" not in fields:
                continue
            seconds = exchange.ended_at - exchange.started_at
            fields["outcome"] = outcome(fields, exchange.status)
            record = self._records.add(exchange, seconds, exchange.ended_at + offset)
            if self.decision_log is not None:
                self.decision_log.add(record)
            self._tally.add(fields, seconds)
            if self.live.config.judgement.log.audit:
                audit_log.info("%s", audit.line(msgspec.json.decode(record)))

    async def decisions(self) -> bytes:
        """What was decided, as lines of JSON, the oldest first. Raises OSError."""
        records = self.records
        return records.lines() if self.decision_log is None else await self.decision_log.read()

    async def close(self) -> None:
        """Write what is still to be written."""
        self.finished.flush()
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
