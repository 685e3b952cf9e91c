"""Will it fit? What each card and the host's RAM are asked for, before anything starts. Pure.

What neither a tier nor its snapshot says is unknown: it is shown as `?`, never counted as nothing
and never a reason to refuse. All sizes are MiB unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from anvil_ctl.config.model import Machine, Role
from anvil_ctl.config.tier import Tier
from anvil_ctl.engines import Engine
from anvil_ctl.weights.facts import Facts
from anvil_ctl.weights.memory import kv_bytes_per_token, weights_mib

MIB = 1 << 20
_COLUMNS = ("tier", "budget", "weights", "kv", "graphs", "draft", "known", "kv room")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one tier takes of a card. `kv_tokens` is what its cache must hold for it to start."""

    tier: str
    budget: int | None = None
    weights: int | None = None
    draft: int | None = None
    graphs: int | None = None
    kv_bytes_per_token: int | None = None
    kv_tokens: int = 0
    # One at a time with the others that swap; else it stays beside whatever runs.
    swap: bool = False
    # What stays on the card while it sleeps.
    asleep: int = 0

    @property
    def kv(self) -> int | None:
        """The smallest KV cache that it can start with."""
        if self.kv_bytes_per_token is None:
            return None
        return ceil(self.kv_bytes_per_token * self.kv_tokens / MIB)

    @property
    def parts(self) -> tuple[int | None, ...]:
        return (self.weights, self.kv, self.graphs, self.draft)

    @property
    def known(self) -> int:
        """The declared parts; the whole is at least that."""
        return sum(part or 0 for part in self.parts)

    @property
    def takes(self) -> int:
        """What the card must have for it: its budget, which an engine fills, or its known parts."""
        return self.known if self.budget is None else self.budget

    @property
    def exact(self) -> bool:
        """Whether every part is declared."""
        return None not in self.parts

    @property
    def pool_tokens(self) -> int | None:
        """Tokens that the KV cache has room for in the budget, at most; None where not known.

        Of graphs and drafter what is not declared is left out, and `exact` says so.
        """
        if self.budget is None or not self.kv_bytes_per_token or self.weights is None:
            return None
        room = self.budget - self.weights - (self.graphs or 0) - (self.draft or 0)
        return max(room, 0) * MIB // self.kv_bytes_per_token


@dataclass(frozen=True, slots=True)
class CardLedger:
    """One role's card: its memory (None where not declared), what is reserved, and the claims."""

    role: str
    memory: int | None
    reserve: int
    claims: tuple[Claim, ...]

    @property
    def committed(self) -> int:
        """What is taken at the worst moment: all that stay, and the worst of those that swap beside
        what the others leave behind while they sleep."""
        stay = sum(each.takes for each in self.claims if not each.swap)
        left = sum(each.asleep for each in self.claims)
        swapping = (each.takes + left - each.asleep for each in self.claims if each.swap)
        return stay + max(swapping, default=0)

    @property
    def problems(self) -> list[str]:
        """Why it cannot run; empty where nothing that is declared speaks against it."""
        found = [
            f"tier {each.tier}: its parts come to {each.known} MiB, over its budget of "
            f"{each.budget} by {each.known - each.budget}"
            for each in self.claims
            if each.budget is not None and each.known > each.budget
        ]
        wanted = self.committed + self.reserve
        if self.memory is not None and wanted > self.memory:
            found.append(
                f"role {self.role}: {self.committed} MiB and a reserve of {self.reserve} are "
                f"{wanted} of {self.memory}: {wanted - self.memory} too many"
            )
        return found

    def __str__(self) -> str:
        if self.memory is None:
            return f"role {self.role}: memory_mib is not declared, so it is not checked"
        left = self.memory - self.reserve - self.committed
        least = "" if all(each.budget is not None for each in self.claims) else "at least "
        return (
            f"role {self.role}: {least}{self.committed} MiB and a reserve of {self.reserve} "
            f"of {self.memory}, {left} left"
        )


@dataclass(frozen=True, slots=True)
class LoadClaim:
    """What one tier takes of the host's RAM: for as long as it runs, and while it loads."""

    tier: str
    role: str
    loader: Literal["mmap", "copy"] = "mmap"
    resident: int | None = None
    weights: int | None = None
    swap: bool = False
    # What it keeps of the host's RAM while it sleeps.
    asleep: int = 0

    @property
    def held(self) -> int:
        """What cannot be given back: pages of a mapped file can, a copy of it cannot."""
        copied = self.weights or 0 if self.loader == "copy" else 0
        return max(self.resident or 0, copied)


@dataclass(frozen=True, slots=True)
class RamLedger:
    """The host's RAM (None where not declared) and the claims of a mode's tiers on it."""

    memory: int | None
    claims: tuple[LoadClaim, ...]

    @property
    def committed(self) -> int:
        """At the worst moment: a mode's tiers load side by side, of a role's swapping ones one."""
        return sum(each.held for each in self.claims if not each.swap) + self._swapping

    @property
    def in_turn(self) -> int:
        """At the worst moment where one loads after the other: a copy is given back when loaded."""
        worst = stay = 0
        for each in self.claims:
            if not each.swap:
                worst = max(worst, stay + each.held)
                stay += each.resident or 0
        return max(worst, stay + self._swapping)

    @property
    def _swapping(self) -> int:
        largest: dict[str, int] = {}
        for each in self.claims:
            if each.swap:
                asleep = sum(other.asleep for other in self.claims if other.role == each.role)
                held = each.held + asleep - each.asleep
                largest[each.role] = max(largest.get(each.role, 0), held)
        return sum(largest.values())

    @property
    def one_by_one(self) -> bool:
        """Whether the mode's tiers must load one after the other."""
        return self.memory is not None and self.in_turn <= self.memory < self.committed

    @property
    def problems(self) -> list[str]:
        if self.memory is None or self.in_turn <= self.memory:
            return []
        names = ", ".join(each.tier for each in self.claims if each.held or each.asleep)
        over = self.in_turn - self.memory
        while_ = "load or sleep" if any(each.asleep for each in self.claims) else "load"
        held = f"{names} hold {self.in_turn} MiB of {self.memory} while they {while_}"
        return [f"host RAM: {held}: {over} too many"]

    @property
    def warnings(self) -> list[str]:
        """Loads that succeed slowly: a mapped file that is larger than what holds its pages."""
        if self.memory is None:
            return []
        room = max(self.memory - self.committed, 0)
        return [
            f"tier {each.tier}: its weights of {each.weights} MiB are read through {room} MiB of "
            "page cache: the load will be slow"
            for each in self.claims
            if each.loader == "mmap" and not each.resident and (each.weights or 0) > room
        ]

    def __str__(self) -> str:
        if self.memory is None:
            return "host RAM: machine.ram_mib is not declared, so it is not checked"
        if self.one_by_one:
            held = f"{self.in_turn} MiB of {self.memory} are held while models load"
            return f"host RAM: {held}, one after the other"
        return f"host RAM: {self.committed} MiB of {self.memory} are held while models load"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that a mode asks of a machine's memory."""

    cards: tuple[CardLedger, ...]
    ram: RamLedger

    @property
    def problems(self) -> list[str]:
        return [*(said for each in self.cards for said in each.problems), *self.ram.problems]

    def table(self) -> str:
        """The numbers in columns, a sum under each role; `?` for what is not declared."""
        rows: list[tuple[str, ...]] = [
            ("tier", "budget", "weights", "kv", "graphs", "draft", "known", "kv room")
        ]
        ends: list[tuple[int, str]] = []
        for card in self.cards:
            rows += [_row(each) for each in card.claims]
            ends.append((len(rows), str(card)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        for at, said in reversed(ends):
            lines.insert(at, said)
        return "\n".join([*lines, str(self.ram)])


def _row(claim: Claim) -> tuple[str, ...]:
    shown = ["?" if each is None else str(each) for each in (claim.budget, *claim.parts)]
    least = "" if claim.exact else "at most "
    tokens = "?" if claim.pool_tokens is None else f"{least}{claim.pool_tokens} tokens"
    return (claim.tier, *shown, str(claim.known), tokens)


def ledger(
    machine: Machine,
    tiers: Iterable[tuple[Tier, Engine]],
    facts: Mapping[str, Facts] | None = None,
) -> Ledger:
    """The ledger of tiers that one mode runs; the processor's roles are in the RAM's part.

    `facts` is what snapshots say of themselves, by their path in the volume: it stands in for what
    a tier does not declare.
    """
    given = [(_told(tier, (facts or {}).get(tier.weights)), engine) for tier, engine in tiers]
    cards = [
        CardLedger(
            name,
            role.memory_mib,
            role.reserve_mib,
            tuple(claim(tier, role, engine) for tier, engine in given if tier.role == name),
        )
        for name, role in machine.roles.items()
        if role.device == "nvidia" and any(tier.role == name for tier, _engine in given)
    ]
    return Ledger(tuple(cards), RamLedger(machine.ram_mib, _loads(given)))


def _told(tier: Tier, facts: Facts | None) -> Tier:
    """The tier with what its snapshot says of memory, where the tier itself says nothing."""
    if facts is None:
        return tier
    found = {
        "weights_mib": weights_mib(facts),
        "kv_bytes_per_token": kv_bytes_per_token(facts, tier.kv_cache_dtype),
    }
    open_ = {key: each for key, each in found.items() if getattr(tier.memory, key) is None}
    return tier.model_copy(update={"memory": tier.memory.model_copy(update=open_)})


def _loads(tiers: Sequence[tuple[Tier, Engine]]) -> tuple[LoadClaim, ...]:
    found = []
    for tier, engine in tiers:
        memory = tier.memory
        parking = engine.file.parking.get(tier.parking or "")
        keeps = parking is not None and parking.holds == "weights"
        found.append(
            LoadClaim(
                tier=tier.id,
                role=tier.role,
                loader=memory.loader,
                resident=memory.ram_mib,
                weights=memory.weights_mib,
                swap=tier.swap,
                asleep=memory.weights_mib or 0 if keeps else 0,
            )
        )
    return tuple(found)


def claim(tier: Tier, role: Role, engine: Engine) -> Claim:
    """What a tier asks of its role's card."""
    memory = tier.memory
    parking = engine.file.parking.get(tier.parking or "")
    sequences = tier.slots if engine.file.kv_cache == "slots" else 1
    return Claim(
        tier=tier.id,
        budget=_budget(tier, role),
        weights=memory.weights_mib,
        draft=memory.draft_mib if tier.speculative else 0,
        graphs=memory.graphs_mib,
        kv_bytes_per_token=memory.kv_bytes_per_token,
        kv_tokens=tier.window * sequences,
        swap=tier.swap,
        asleep=parking.leftover_mib if parking is not None else 0,
    )


def share(fraction: float, memory: int) -> int:
    """A fraction of a card, cut to whole MiB as engines do."""
    return int(fraction * memory)


def fraction_within(budget: int, memory: int) -> float:
    """The share of a card that a budget is, cut to two decimals.

    Cut, never rounded: the budget is what may be taken at most.
    """
    return (budget * 100 // memory) / 100


def memory_fraction(tier: Tier, role: Role) -> str:
    """The share of the card that an engine is told; "" for its own default."""
    if tier.memory_fraction is not None:
        return f"{tier.memory_fraction:g}"
    if tier.vram_mib is None or role.memory_mib is None:
        return ""
    return f"{fraction_within(tier.vram_mib, role.memory_mib):.2f}"


def _budget(tier: Tier, role: Role) -> int | None:
    if tier.vram_mib is not None:
        return tier.vram_mib
    if tier.memory_fraction is None or role.memory_mib is None:
        return None
    return share(tier.memory_fraction, role.memory_mib)
