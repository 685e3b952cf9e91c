"""Looks at everything that checks decide from: which mode, its definition, and then the rest."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from anvil_ctl import signatures, site
from anvil_ctl.config import Mode
from anvil_ctl.config.modes import known
from anvil_ctl.docker import Docker
from anvil_ctl.doctor import station
from anvil_ctl.doctor.derived import derive
from anvil_ctl.doctor.looking import Endpoints, Looking, Wanted
from anvil_ctl.doctor.survey import (
    Daemon,
    Survey,
    Unknown,
)
from anvil_ctl.errors import AnvilError, ConfigError
from anvil_ctl.paths import Home, bundle
from anvil_ctl.site import Site
from anvil_ctl.store import read_starter

# Of a whole look, whatever hangs; with --deep a card or an engine may take its time.
TOTAL_S = 60.0


def gather(
    home: Home,
    environ: Mapping[str, str],
    wanted: Wanted,
    endpoints: Callable[[Site], Endpoints] | None = None,
    *,
    definition: Site | None = None,
    total_s: float = TOTAL_S,
) -> Survey:
    """Everything that is wanted; what fails to be had is Unknown. UsageError for a wrong mode.

    Without `endpoints`, no process is asked; a `definition` that is given is not read again.
    """
    found = definition or _definition(home, environ)
    here = found if isinstance(found, Site) else None
    mode, requested = _modes(wanted, environ, here)
    daemon, info = _daemon()
    survey = Survey(
        mode=mode,
        home=station.home(home, here, mode, wanted.journal),
        station=station.station(info),
        definition=found,
        requested=requested,
        daemon=daemon,
        signatures=signatures.load(bundle() / "engines"),
        starter=read_starter(bundle()).path,
    )
    if here is not None:
        survey = replace(survey, of_mode=derive(here, mode))
    pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="look")
    try:
        return Looking(survey, wanted, pool, time.monotonic() + total_s).at_all(endpoints)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _definition(home: Home, environ: Mapping[str, str]) -> Site | ConfigError:
    try:
        return site.load(home, environ, guarded=False)
    except ConfigError as error:
        return error


def _modes(
    wanted: Wanted, environ: Mapping[str, str], found: Site | None
) -> tuple[Mode, tuple[Mode, str]]:
    """The mode to look at, and the one that is asked for with who asks."""
    if variable := environ.get("ANVIL_MODE", "").strip():
        requested = known(variable, "ANVIL_MODE"), "ANVIL_MODE"
    elif found is not None:
        requested = found.config.active_mode, "active_mode"
    else:
        requested = known("agentic", "the default"), "the default"
    if wanted.mode:
        return known(wanted.mode, "--mode"), requested
    return wanted.journal.recorded or requested[0], requested


def _daemon() -> tuple[Daemon | Unknown, Mapping[str, object]]:
    try:
        info = Docker().info()
    except AnvilError as error:
        return Unknown(error.message, error.hint), {}
    root = str(info.get("DockerRootDir", ""))
    runtimes, memory = info.get("Runtimes"), info.get("MemTotal")
    return (
        Daemon(
            version=str(info.get("ServerVersion")),
            runtimes=frozenset(runtimes if isinstance(runtimes, dict) else ()),
            cdi=bool(info.get("DiscoveredDevices")),
            memory=memory if isinstance(memory, int) else 0,
            root=root,
            root_free=station.free_bytes(Path(root)),
            skew_s=skew_s(str(info.get("SystemTime", "")), time.time()),
        ),
        info,
    )


def skew_s(said: str, now: float) -> float:
    """Seconds that a clock is ahead, by the time that it printed; 0 where it printed none."""
    # Go prints nanoseconds, and a whole second is enough here.
    found = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)$", said)
    return datetime.fromisoformat(found[1] + found[2]).timestamp() - now if found else 0.0
