"""A repository of a model hub: planned first, then brought into the volume."""

from __future__ import annotations

import getpass
import os
import socket
import time
from dataclasses import dataclass
from typing import Any

from anvil_ctl.errors import GateError, UsageError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.store.box import Store
from anvil_ctl.store.progress import Progress
from anvil_ctl.weights import manifest
from anvil_ctl.weights.choice import Wish, choose, gigabytes
from anvil_ctl.weights.listing import listing, total
from anvil_ctl.weights.manifest import Manifest
from anvil_ctl.weights.plan import HEADROOM_BYTES, PullPlan

STEP = "pull"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a pull is carried out, whatever it is of. `stall_s` without a byte is a stall."""

    wait: bool = False
    verify: bool = False
    stall_s: float = 30.0
    headroom: int = HEADROOM_BYTES


def plan(
    store: Store, volume: str, repo: str, revision: str, wish: Wish, *, why: str = "", **more: Any
) -> PullPlan:
    """What would be done. UsageError where only the user can choose among the files."""
    found = listing(store.ask("list", {"repo": repo, "revision": revision}, lambda _said: None))
    choice = choose(found.files, wish)
    if choice.problem:
        raise UsageError(f"{repo}: {choice.problem}", hint=choice.hint)
    return PullPlan(found, choice, volume, why, **more)


def refuse_without_room(found: PullPlan) -> None:
    """GateError where the volume's file system cannot take what is missing."""
    if found.lacking:
        raise GateError(
            f"{found.listing.repo} needs {gigabytes(found.to_move)} more, and "
            f"{gigabytes(found.headroom)} that stay free; the volume {found.volume} has "
            f"{gigabytes(found.listing.free or 0)}",
            hint=f"free {gigabytes(found.lacking)} where Docker keeps its data: "
            "anvil-ctl models ls, docker system df",
        )


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull came to. Sizes are bytes, times seconds."""

    manifest: Manifest
    moved: int
    seconds: float


def carry_out(
    store: Store,
    found: PullPlan,
    revision: str,
    terms: Terms,
    report: Report,
    *,
    to: str = "",
) -> Pulled:
    """Bring what is planned; AnvilError leaves all that has come for the next time.

    `to` is a second path of the volume under which the first weights file is shown.
    """
    repo = found.listing.repo
    started = time.monotonic()
    order = {
        "repo": repo,
        "commit": found.listing.commit,
        "revision": revision,
        "files": [file.as_dict() for file in found.choice.files],
        "license": found.listing.license,
        "holder": holder(),
        "wait": terms.wait,
        "recheck": terms.verify,
        "stall_s": terms.stall_s,
        "to": to,
    }
    report(Event(STEP, f"pull {repo}: {gigabytes(total(found.choice.files))}", State.WORKING))
    try:
        said = store.ask("pull", order, Progress(STEP, repo, report))
    except BaseException:
        report(Event(STEP, f"pull {repo}", State.FAILED, time.monotonic() - started))
        raise
    took = time.monotonic() - started
    pulled = Pulled(manifest.parse(said["manifest"]), said["moved"], took)
    report(Event(STEP, _told(repo, pulled), State.DONE if pulled.moved else State.SKIPPED, took))
    return pulled


def _told(repo: str, pulled: Pulled) -> str:
    if not pulled.moved:
        return f"{repo} is there, {gigabytes(pulled.manifest.size)}"
    rate = gigabytes(pulled.moved / max(pulled.seconds, 0.001))
    return f"{repo} pulled and checked: {gigabytes(pulled.moved)} moved at {rate}/s"


def holder() -> str:
    """Who pulls, for whoever finds the lock taken."""
    return f"{getpass.getuser()} on {socket.gethostname()} (process {os.getpid()})"
