"""What runs now: one look at Docker and at the two control processes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from anvil_ctl.config import MODES, Config, Mode
from anvil_ctl.docker import Container, Docker
from anvil_ctl.lifecycle.admin import Admin, Status
from anvil_ctl.lifecycle.plan import Goal, Observed, TierGoal, TierState
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.service import LABEL
from anvil_ctl.site import ADMIN_TOKEN, Site

CONTROL = ("router", "multiplexer", "guard")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one look found, for plans and for `status`."""

    containers: tuple[Container, ...]
    router: Status | None
    multiplexer: Status | None
    observed: Observed


def router_admin(site: Site) -> Admin:
    url = site.url(site.config.machine.router_admin_port)
    return Admin("router", url, site.token(ADMIN_TOKEN))


def multiplexer_admin(site: Site) -> Admin:
    url = site.url(site.config.machine.multiplexer_admin_port)
    return Admin("multiplexer", url, site.token(ADMIN_TOKEN))


def snapshot(site: Site, docker: Docker) -> Snapshot:
    """Look once. DockerError if the daemon does not answer: that is never read as 'nothing'."""
    containers = tuple(docker.containers(f"{LABEL}.project={site.project}"))
    running = {each.labels[f"{LABEL}.control"] for each in _control(containers) if each.running}
    router = router_admin(site).status() if "router" in running else None
    multiplexer = multiplexer_admin(site).status() if "multiplexer" in running else None
    observed = Observed(
        tiers=_tiers(containers),
        control_hash=_control_hash(containers),
        router_hash=_said(router, "config_hash"),
        registry_hash=_said(multiplexer, "config_hash"),
        router_mode=_said(router, "mode"),
        control_exists=bool(_control(containers)),
        held=bool(router and router.get("held")),
    )
    return Snapshot(containers, router, multiplexer, observed)


def goal(site: Site, files: ModeFiles, control_hash: str, hooks: tuple[str, ...] = ()) -> Goal:
    """A rendered mode as the planner's goal."""
    ledger = site.renderer.ledger(files.mode)
    roles = site.config.machine.roles
    return Goal(
        mode=files.mode,
        project=files.project,
        tiers=tier_goals(site.config, files),
        router_hash=_sha256(files.router),
        registry_hash=_sha256(files.registry),
        control_hash=control_hash,
        cards=tuple(each.role for each in ledger.cards if roles[each.role].gpu_uuid),
        in_turn=ledger.ram.one_by_one,
        hooks=hooks,
    )


def tier_goals(config: Config, files: ModeFiles) -> tuple[TierGoal, ...]:
    """The tiers of a rendered mode as they should run."""
    return tuple(
        TierGoal(tier.id, tier.role, tier.swap, files.config_hashes[tier.id])
        for tier in config.modes[files.mode].enabled
    )


def _control(containers: Iterable[Container]) -> list[Container]:
    return [each for each in containers if f"{LABEL}.control" in each.labels]


def _control_hash(containers: Iterable[Container]) -> str | None:
    """The one hash that all running control containers carry; None if any is missing, or is where
    nobody can reach it."""
    running = [each for each in _control(containers) if each.running and each.attached]
    hashes = {each.labels.get(f"{LABEL}.config-hash", "") for each in running}
    return hashes.pop() if len(running) == len(CONTROL) and len(hashes) == 1 else None


def _tiers(containers: Iterable[Container]) -> dict[Mode, dict[str, TierState]]:
    found: dict[Mode, dict[str, TierState]] = defaultdict(dict)
    for each in containers:
        tier = each.labels.get(f"{LABEL}.tier")
        for mode in MODES:
            if tier and each.labels.get(f"{LABEL}.mode") == mode:
                config_hash = each.labels.get(f"{LABEL}.config-hash", "")
                found[mode][tier] = TierState(each.status, config_hash)
    return dict(found)


def _said(status: Status | None, key: str) -> str | None:
    value = status.get(key) if status else None
    return None if value is None else str(value)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
