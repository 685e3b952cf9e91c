"""What runs, for people and for programs: observed, beside what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from anvil_ctl.config import Mode, Tier
from anvil_ctl.lifecycle.observe import CONTROL, Snapshot
from anvil_ctl.service import LABEL
from anvil_ctl.site import Site


@dataclass(frozen=True, slots=True)
class TierStatus:
    """One tier of the live mode. `resident`: loaded now, where several share a role."""

    id: str
    engine: str
    model: str
    state: str
    swap_group: str | None
    resident: bool


@dataclass(frozen=True, slots=True)
class CloudStatus:
    """A cloud, and whether the router can ask it. Nobody asks it to find out."""

    id: str
    model: str
    base_url: str
    key_env: str
    state: str


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The live mode, the control services and the tiers. `mode` is None where nothing is live."""

    mode: Mode | None
    router_mode: str | None
    requested: Mode
    held: bool
    control: Mapping[str, str]
    tiers: tuple[TierStatus, ...]
    disagreement: str | None
    # Of each role that models share: one line on how it stands.
    roles: Mapping[str, str] = field(default_factory=dict)
    clouds: tuple[CloudStatus, ...] = ()
    # The classes of work that clouds may be asked for.
    metered_cloud: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        control = all(state == "healthy" for state in self.control.values())
        return self.mode is not None and control and self.disagreement is None


def status(
    site: Site,
    found: Snapshot,
    answering: Callable[[Mode, Tier], bool],
    requested: Mode | None = None,
) -> StackStatus:
    """Put one snapshot into words; `answering` asks a running engine for its health.

    `requested` is the mode that a verb without one would mean; the definition's, if not given.
    """
    modes = found.observed.modes
    mode = modes[0] if len(modes) == 1 else None
    return StackStatus(
        mode=mode,
        router_mode=found.observed.router_mode,
        requested=requested or site.config.active_mode,
        held=bool(found.router and found.router.get("held")),
        control={name: _control_state(found, name) for name in CONTROL},
        tiers=tuple(_tiers(site, found, mode, answering)) if mode else (),
        disagreement=_disagreement(found, mode),
        roles=_roles(found.multiplexer) if mode else {},
        clouds=tuple(_clouds(site, found.router)),
        metered_cloud=tuple(map(str, site.config.router.metered_cloud)),
    )


def _clouds(site: Site, router: Mapping[str, object] | None) -> Iterator[CloudStatus]:
    keyless = site.keyless()
    rows = router.get("tiers") if router else None
    known = {str(row["id"]): row for row in rows} if isinstance(rows, list) else None
    for each in site.config.clouds:
        if each.id in keyless:
            state = f"no key: {keyless[each.id]}"
        elif known is None:
            state = "the router does not run"
        elif each.id not in known:
            state = "not in the router yet: anvil-ctl up"
        elif known[each.id].get("circuit") != "closed":
            state = "left alone for now: it failed"
        else:
            state = "ready"
        yield CloudStatus(each.id, each.model, each.base_url, each.key_env, state)


def _roles(said: Mapping[str, object] | None) -> dict[str, str]:
    """What the multiplexer says of each role, in words."""
    shared = said.get("roles") if said else None
    if not isinstance(shared, Mapping):
        return {}
    return {name: _role(role) for name, role in shared.items() if isinstance(role, Mapping)}


def _role(role: Mapping[str, object]) -> str:
    parts = [str(role.get("state"))]
    if role.get("resident"):
        parts[0] += f" with {role['resident']}"
    for key, words in (("in_flight", "in flight"), ("queued", "waiting")):
        counts = role.get(key)
        total = sum(counts.values()) if isinstance(counts, Mapping) else 0
        if total:
            parts.append(f"{total} {words}")
    asleep = role.get("asleep")
    if isinstance(asleep, list) and asleep:
        parts.append(f"{' and '.join(map(str, asleep))} asleep")
    if role.get("last_error"):
        parts.append(f"last error: {role['last_error']}")
    return ", ".join(parts)


def _asleep(said: Mapping[str, object] | None) -> set[str]:
    """The models that sleep in a running container."""
    shared = said.get("roles") if said else None
    roles = shared.values() if isinstance(shared, Mapping) else ()
    found = (role.get("asleep") for role in roles if isinstance(role, Mapping))
    return {str(name) for names in found if isinstance(names, list) for name in names}


def _disagreement(found: Snapshot, mode: Mode | None) -> str | None:
    modes = found.observed.modes
    if len(modes) > 1:
        return f"containers of {' and '.join(modes)} are there at once: anvil-ctl recover"
    said = found.observed.router_mode
    if mode and said and said != mode:
        return f"the router serves {said}, the containers are of {mode}: anvil-ctl up --mode {mode}"
    if said and not mode:
        return f"the router serves {said}, and there are no containers: anvil-ctl up --mode {said}"
    return None


def _control_state(found: Snapshot, name: str) -> str:
    for each in found.containers:
        if each.labels.get(f"{LABEL}.control") == name:
            return (each.health or "running") if each.running else each.status
    return "absent"


def _tiers(
    site: Site, found: Snapshot, mode: Mode, answering: Callable[[Mode, Tier], bool]
) -> Iterator[TierStatus]:
    asleep = _asleep(found.multiplexer)
    for tier in site.config.modes[mode].enabled:
        name = site.renderer.container(mode, tier)
        container = next((each for each in found.containers if each.name == name), None)
        running = container is not None and container.running
        state = container.status if container else "absent"
        if running:
            # Docker's own health state is some seconds old, and "starting" until its first look.
            state = "ready" if answering(mode, tier) else "loading"
        elif container and tier.swap:
            state = "stopped"
        if tier.served_name in asleep:
            state, running = "asleep", False
        yield TierStatus(
            id=tier.id,
            engine=tier.engine,
            model=tier.served_name,
            state=state,
            swap_group=tier.role if tier.swap else None,
            resident=running,
        )
