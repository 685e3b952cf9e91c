"""What has to happen so that a mode runs: from what is observed to a printable plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from anvil_ctl.config.model import Mode


class Op(StrEnum):
    """One act, each with exactly one effect."""

    HOOK = "hook"
    HOLD = "hold"
    DRAIN = "drain"
    RETIRE = "retire"
    DOWN = "down"
    FREE = "free"
    INSTALL = "install"
    CONTROL = "control"
    UP = "up"
    READY = "ready"
    MULTIPLEXER = "multiplexer"
    CANARY = "canary"
    ROUTER = "router"
    PROVE = "prove"
    RELEASE = "release"
    STOP = "stop"


_READY = "engine ready, and the model by its exact name"
PRE_HOOK, POST_HOOK = "pre-switch", "post-switch"

# Seconds that an act takes where none was ever timed; 0.5 for all others.
DEFAULT_S = {Op.CONTROL: 8.0, Op.UP: 3.0, Op.DOWN: 3.0, Op.READY: 30.0, Op.CANARY: 5.0}


@dataclass(frozen=True, slots=True)
class Act:
    """An operation on a target, with the reason why it is in the plan."""

    op: Op
    target: str
    cause: str

    def __str__(self) -> str:
        return f"{self.op:<11} {self.target:<24} {self.cause}"

    def step(self, target: Mode | None) -> str:
        """The name that its duration is remembered under, on the way to a mode."""
        return f"{self.op}.{target or 'down'}.{self.target}".replace(" ", "")


@dataclass(frozen=True, slots=True)
class TierGoal:
    """A tier as it should run. `swap` tiers are created, and started by the multiplexer."""

    id: str
    role: str
    swap: bool
    config_hash: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A mode as it should run, with the hashes of its rendered files."""

    mode: Mode
    project: str
    tiers: tuple[TierGoal, ...]
    router_hash: str
    registry_hash: str
    control_hash: str
    # Roles whose cards must be free before the mode's engines load.
    cards: tuple[str, ...] = ()
    # The host's memory does not hold two models while they load: one after the other.
    in_turn: bool = False
    # The user's own programs that are there, PRE_HOOK and POST_HOOK.
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TierState:
    """A tier's container as Docker has it."""

    status: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What runs now. Hashes are None where the process that has them does not answer."""

    tiers: Mapping[Mode, Mapping[str, TierState]]
    control_hash: str | None
    router_hash: str | None
    registry_hash: str | None
    router_mode: str | None
    control_exists: bool = False
    # Requests wait in the router, and the command that would let them go on has ended.
    held: bool = False

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that have containers, running or not."""
        return tuple(mode for mode, tiers in self.tiers.items() if tiers)


@dataclass(frozen=True, slots=True)
class Plan:
    """The acts in order. An empty plan means that all is as it should be."""

    source: tuple[Mode, ...]
    target: Mode | None
    acts: tuple[Act, ...]

    def __str__(self) -> str:
        source = "+".join(self.source) or "nothing"
        target = self.target or "nothing"
        if not self.acts:
            return f"{target} runs as defined: nothing to do"
        lines = [f"{number:>2}  {act}".rstrip() for number, act in enumerate(self.acts, 1)]
        return "\n".join([f"plan: {source} -> {target}", *lines])


def plan(observed: Observed, goal: Goal, *, proved: bool = True) -> Plan:
    """The acts that lead from `observed` to `goal`, none of them needless.

    `proved` is False where a command was cut off: what it started is as defined, and nobody knows
    whether it answers.
    """
    return Plan(observed.modes, goal.mode, tuple(_acts(observed, goal, proved=proved)))


def plan_down(observed: Observed) -> Plan:
    """The acts that stop everything. Volumes are in none of them."""
    return Plan(observed.modes, None, tuple(_down_acts(observed)))


def _down_acts(observed: Observed) -> Iterator[Act]:
    if observed.router_hash is not None:
        yield Act(Op.HOLD, "router, multiplexer", "no new requests")
        yield Act(Op.DRAIN, "router, multiplexer", "running answers finish first")
        yield Act(Op.RETIRE, "multiplexer", "what it started goes with its mode")
    for mode in observed.modes:
        yield Act(Op.DOWN, mode, "asked for")
    if observed.control_exists:
        yield Act(Op.STOP, "router, multiplexer, guard", "asked for")


def _acts(observed: Observed, goal: Goal, *, proved: bool) -> Iterator[Act]:
    outgoing = [mode for mode in observed.modes if mode != goal.mode]
    stale = [tier for tier in goal.tiers if not _as_defined(observed, goal.mode, tier)]
    proved = proved and not observed.held
    due = stale if proved else list(goal.tiers)
    files = (goal.router_hash, goal.registry_hash)
    config_new = (observed.router_hash, observed.registry_hash) != files
    control_new = observed.control_hash != goal.control_hash
    if control_new:
        yield from _control(observed, goal)
    if proved and not (outgoing or stale or (config_new and not control_new)):
        return
    yield from _make_room(observed, goal, outgoing, stale)
    if not control_new:
        yield Act(Op.INSTALL, goal.mode, "router config and registry of the mode")
    yield from _engines(goal, stale, due)
    yield Act(Op.MULTIPLEXER, "multiplexer", "reads the registry and takes leases again")
    yield from _canaries(goal, due)
    yield Act(Op.ROUTER, "router", "reads the config of the mode")
    yield Act(Op.PROVE, "presets", "each answers through the router, before anybody's turn")
    yield Act(Op.RELEASE, "router", "waiting requests are answered by the mode")
    if outgoing and POST_HOOK in goal.hooks:
        yield Act(Op.HOOK, POST_HOOK, "yours, now that the new mode serves")


def _control(observed: Observed, goal: Goal) -> Iterator[Act]:
    # Before anything is held: a new router cannot keep what waits in the old one, but the old
    # one finishes what runs in it.
    cause = "not running" if observed.control_hash is None else "its definition changed"
    yield Act(Op.INSTALL, goal.mode, "router config and registry of the mode")
    yield Act(Op.CONTROL, "router, multiplexer, guard", cause)


def _make_room(
    observed: Observed, goal: Goal, outgoing: list[Mode], stale: list[TierGoal]
) -> Iterator[Act]:
    if outgoing and PRE_HOOK in goal.hooks:
        yield Act(Op.HOOK, PRE_HOOK, "yours, while the old mode still serves")
    if observed.router_hash is not None:
        yield Act(Op.HOLD, "router, multiplexer", "new requests wait and lose nothing")
        yield Act(Op.DRAIN, "router, multiplexer", "running answers finish first")
        if outgoing or stale:
            yield Act(Op.RETIRE, "multiplexer", "what it started goes with its mode")
    for mode in outgoing:
        yield Act(Op.DOWN, mode, f"{goal.mode} takes its devices")
    if outgoing and goal.cards:
        yield Act(Op.FREE, ", ".join(goal.cards), "what was loaded has left the cards")


def _engines(goal: Goal, stale: list[TierGoal], due: list[TierGoal]) -> Iterator[Act]:
    """Start what is not as defined, and see to it that all that is due has loaded."""
    for tier in due:
        if tier not in stale and not tier.swap:
            yield Act(Op.READY, tier.id, _READY)
    if not stale:
        return
    fixed = [tier for tier in stale if not tier.swap]
    names = ", ".join(tier.id for tier in stale)
    if goal.in_turn and len(fixed) > 1:
        for tier in fixed:
            yield Act(Op.UP, tier.id, "alone: the host's memory holds no two while they load")
            yield Act(Op.READY, tier.id, _READY)
        if len(fixed) == len(stale):
            return
        names = ", ".join(tier.id for tier in stale if tier.swap)
    yield Act(Op.UP, goal.mode, f"not as defined: {names}")
    if not (goal.in_turn and len(fixed) > 1):
        for tier in fixed:
            yield Act(Op.READY, tier.id, _READY)


def _canaries(goal: Goal, due: list[TierGoal]) -> Iterator[Act]:
    """Each fixed tier answers one token; of those that share a role, the first one does."""
    proved: set[str] = set()
    for tier in due:
        if not tier.swap:
            yield Act(Op.CANARY, tier.id, "one real token")
    for tier in goal.tiers:
        if tier.swap and due and tier.role not in proved:
            proved.add(tier.role)
            yield Act(
                Op.CANARY, tier.id, f"one real token, loaded by the multiplexer ({tier.role})"
            )


def _as_defined(observed: Observed, mode: Mode, tier: TierGoal) -> bool:
    state = observed.tiers.get(mode, {}).get(tier.id)
    if state is None or state.config_hash != tier.config_hash:
        return False
    return tier.swap or state.status == "running"
