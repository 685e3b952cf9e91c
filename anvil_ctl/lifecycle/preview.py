"""A plan with everything that it is about: who goes, who comes, on what, and for how long. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from anvil_ctl.capacity import Ledger
from anvil_ctl.config.model import Config, Mode
from anvil_ctl.config.tier import Tier
from anvil_ctl.lifecycle.plan import DEFAULT_S, Act, Goal, Observed, Op, Plan
from anvil_ctl.renderer import ModeFiles
from anvil_ctl.templating import digest

_SHORT = 12


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one tier: stop, start, replace, keep, or create to be started on demand."""

    what: str
    tier: str
    engine: str
    model: str
    port: int | None

    def __str__(self) -> str:
        port = f", port {self.port}" if self.port else ""
        return f"{self.what:<7} {self.tier:<20} {self.engine}, {self.model}{port}"


@dataclass(frozen=True, slots=True)
class Move:
    """What happens on one role, and how much of its memory what comes asks for; None: not known."""

    role: str
    changes: tuple[Change, ...]
    memory: str | None
    committed_mib: int | None
    reserve_mib: int | None
    memory_mib: int | None


@dataclass(frozen=True, slots=True)
class Image:
    """What a container of the target runs: its reference, and its id here, None if it is absent."""

    reference: str
    id: str | None

    def __str__(self) -> str:
        return f"{self.reference}  {self.id or 'not here: anvil-ctl images build'}"


@dataclass(frozen=True, slots=True)
class File:
    """What a control process reads: the hash of what it has and of what it gets."""

    name: str
    old: str | None
    new: str

    def __str__(self) -> str:
        old = self.old[:_SHORT] if self.old else "nothing"
        new = self.new[:_SHORT]
        return f"{self.name}: {new}, as it is" if old == new else f"{self.name}: {old} -> {new}"


@dataclass(frozen=True, slots=True)
class Step:
    """An act, and how many seconds it took here last; where it was never done, an estimate."""

    act: Act
    seconds: float
    measured: bool

    def __str__(self) -> str:
        guess = "" if self.measured else "~"
        about = "<1 s" if self.seconds < 1 else f"{guess}{self.seconds:.0f} s"
        return f"{self.act.op:<11} {self.act.target:<26} {about:>7}  {self.act.cause}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a preview is made from, besides the plan itself."""

    config: Config
    observed: Observed
    goal: Goal | None = None
    files: ModeFiles | None = None
    ledger: Ledger | None = None
    images: Mapping[str, str | None] | None = None
    seconds: Mapping[str, float] | None = None
    way_back: Mode | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a verb would do now. `hash` is over the rendered files, the images and the acts.

    `wait_s` is the part of `total_s` in which clients' requests wait. `refused` is why the verb
    would not begin, with what to do about it.
    """

    verb: str
    source: tuple[Mode, ...]
    target: Mode | None
    hash: str
    moves: tuple[Move, ...]
    ram: str | None
    presets: int | None
    files: tuple[File, ...]
    images: tuple[Image, ...]
    way_back: Mode | None
    total_s: float
    wait_s: float
    steps: tuple[Step, ...]
    refused: str | None = None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        source, target = "+".join(self.source) or "nothing", self.target or "nothing"
        if not self.steps:
            yield f"{target} runs as defined: nothing to do" if self.target else "nothing runs"
            return
        yield f"plan {self.hash}: {self.verb}, {source} -> {target}"
        for move in self.moves:
            yield f"role {move.role}"
            yield from (f"  {each}" for each in move.changes)
            if move.memory:
                yield f"  {move.memory}"
        if self.ram:
            yield self.ram
        yield from map(str, self.files)
        if self.presets is not None:
            yield f"presets: the same {self.presets} in each mode"
        yield from (f"image {each}" for each in self.images)
        yield f"if it fails: {_back(self.way_back, self.target)}"
        yield f"about {self.total_s:.0f} s, and requests wait for {self.wait_s:.0f} s of it"
        for number, step in enumerate(self.steps, 1):
            yield f"{number:>2}  {step}".rstrip()
        if self.refused:
            yield f"refused now: {self.refused}"


def _back(mode: Mode | None, target: Mode | None) -> str:
    if target is None:
        return "what still runs goes on"
    return f"{mode} comes back as it was installed" if mode else "what was begun is removed"


def preview(verb: str, steps: Plan, facts: Facts) -> Preview:
    """Everything about a plan; nothing is asked and nothing is touched."""
    goal, files, observed = facts.goal, facts.files, facts.observed
    timed = tuple(_timed(steps, facts))
    images = tuple(Image(*each) for each in sorted((facts.images or {}).items()))
    return Preview(
        verb=verb,
        source=steps.source,
        target=steps.target,
        hash=_hash(steps, goal, files, images),
        moves=tuple(_moves(steps, facts)),
        ram=str(facts.ledger.ram) if facts.ledger else None,
        presets=len(facts.config.modes[goal.mode].presets) if goal else None,
        files=_files(goal, observed) if goal else (),
        images=images,
        way_back=facts.way_back,
        total_s=round(sum(each.seconds for each in timed), 1),
        wait_s=round(_waiting(timed), 1),
        steps=timed,
    )


def _hash(steps: Plan, goal: Goal | None, files: ModeFiles | None, images: Sequence[Image]) -> str:
    said = {
        "from": steps.source,
        "to": steps.target,
        "acts": [str(act) for act in steps.acts],
        "files": [files.compose, files.router, files.registry] if files else [],
        "control": goal.control_hash if goal else None,
        "images": [[each.reference, each.id] for each in images],
    }
    return digest(json.dumps(said, sort_keys=True))


def _files(goal: Goal, observed: Observed) -> tuple[File, ...]:
    return (
        File("router config", observed.router_hash, goal.router_hash),
        File("multiplexer registry", observed.registry_hash, goal.registry_hash),
        File("control project", observed.control_hash, goal.control_hash),
    )


def _timed(steps: Plan, facts: Facts) -> Iterator[Step]:
    waited = 0.0
    for act in steps.acts:
        seconds = (facts.seconds or {}).get(act.step(steps.target))
        measured = seconds is not None
        if seconds is None:
            seconds = _guess(act, steps.target, facts.config, waited)
        # Engines load side by side: each is waited for once those before it are ready.
        waited += seconds if act.op is Op.READY else 0.0
        yield Step(act, seconds, measured)


def _guess(act: Act, target: Mode | None, config: Config, waited: float) -> float:
    shortest = DEFAULT_S.get(act.op, 0.5)
    tiers = config.modes[target].enabled if target else []
    tier = next((each for each in tiers if each.id == act.target), None)
    if tier and act.op is Op.READY:
        return max(tier.load_estimate_s - waited, 0.5)
    return tier.load_estimate_s if tier and act.op is Op.CANARY and tier.swap else shortest


def _waiting(steps: Sequence[Step]) -> float:
    """From the hold to the release; nobody waits where nobody is served."""
    ops = [each.act.op for each in steps]
    if Op.HOLD not in ops or Op.RELEASE not in ops:
        return 0.0
    return sum(each.seconds for each in steps[ops.index(Op.HOLD) : ops.index(Op.RELEASE) + 1])


def _moves(steps: Plan, facts: Facts) -> Iterator[Move]:
    changes: dict[str, list[Change]] = {}
    for mode in steps.source:
        if mode != steps.target:
            for role, change in _leaving(mode, facts):
                changes.setdefault(role, []).append(change)
    for role, change in _coming(steps.target, facts):
        changes.setdefault(role, []).append(change)
    cards = {each.role: each for each in facts.ledger.cards} if facts.ledger else {}
    order = [*facts.config.machine.roles, *sorted(set(changes) - set(facts.config.machine.roles))]
    for role in order:
        if role not in changes:
            continue
        card = cards.get(role)
        yield Move(
            role=role,
            changes=tuple(changes[role]),
            memory=str(card).removeprefix(f"role {role}: ") if card else None,
            committed_mib=card.committed if card else None,
            reserve_mib=card.reserve if card else None,
            memory_mib=card.memory if card else None,
        )


def _leaving(mode: Mode, facts: Facts) -> Iterator[tuple[str, Change]]:
    definition = facts.config.modes.get(mode)
    known = {tier.id: tier for tier in definition.tiers} if definition else {}
    for tier_id, state in facts.observed.tiers[mode].items():
        what = "stop" if state.status == "running" else "remove"
        if tier_id in known:
            yield known[tier_id].role, _change(what, known[tier_id])
        else:
            yield "?", Change(what, tier_id, "?", "no longer in the definition", None)


def _coming(target: Mode | None, facts: Facts) -> Iterator[tuple[str, Change]]:
    if target is None or facts.goal is None:
        return
    hashes = {each.id: each for each in facts.goal.tiers}
    there = facts.observed.tiers.get(target, {})
    for tier in facts.config.modes[target].enabled:
        state = there.get(tier.id)
        same = state is not None and state.config_hash == hashes[tier.id].config_hash
        if same and state and (tier.swap or state.status == "running"):
            what = "keep"
        elif tier.swap:
            what = "create"
        else:
            what = "start" if state is None or same else "replace"
        yield tier.role, _change(what, tier)


def _change(what: str, tier: Tier) -> Change:
    return Change(what, tier.id, tier.engine, tier.served_name, tier.port)
