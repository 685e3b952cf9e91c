"""What doctor asks of running processes, and of the journal: the same doors as transitions use."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl.config import MODES, Mode, Tier
from anvil_ctl.doctor.survey import EngineSeen, JournalSeen
from anvil_ctl.errors import AnvilError
from anvil_ctl.lifecycle import engines
from anvil_ctl.lifecycle.engines import Endpoint
from anvil_ctl.lifecycle.journal import interrupted
from anvil_ctl.lifecycle.observe import multiplexer_admin, router_admin
from anvil_ctl.site import Site

_TOKEN_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class SiteEndpoints:
    """The endpoints of one installation."""

    site: Site

    def router(self) -> Mapping[str, object] | None:
        return router_admin(self.site).status()

    def multiplexer(self) -> Mapping[str, object] | None:
        return multiplexer_admin(self.site).status()

    def engine(self, tier: Tier) -> EngineSeen:
        file = self.site.renderer.engines[tier.engine].file
        return engines.look(self._endpoint(tier), file.health_path, file.models_path)

    def token(self, tier: Tier) -> str:
        """One token; "" where it came, else what was said instead."""
        try:
            engines.canary(self._endpoint(tier), _TOKEN_LIMIT_S)
        except AnvilError as error:
            return error.message
        return ""

    def _endpoint(self, tier: Tier) -> Endpoint:
        return Endpoint(tier.id, self.site.url(tier.port), tier.served_name, tier.dialect)


def journal(folder: Path) -> JournalSeen:
    """What commands left in an installation's journal."""
    try:
        cut_off = interrupted(folder)
        said = str(cut_off) if cut_off else None
    except AnvilError as error:
        said = error.message
    return JournalSeen(said, _recorded(folder / "history"), _holder(folder / "lock"))


def _recorded(history: Path) -> Mode | None:
    """The mode that the last transition left live; None after `down`, and where none is known."""
    for path in sorted(history.glob("*.json"), reverse=True):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict):
            return None
        if found.get("outcome") == "complete":
            return next((mode for mode in MODES if mode == found.get("target")), None)
        if found.get("outcome") == "rolled_back":
            sources = found.get("source") or []
            return next((mode for mode in MODES if mode in sources), None)
    return None


def _holder(lock: Path) -> str | None:
    """Who holds the lock now; None where it is free."""
    try:
        with lock.open("r", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "another command"
    except OSError:
        return None
    return None
