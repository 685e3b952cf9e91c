"""What an operator can set of the router's judgement: the tables of the file, checked."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from anvil_ctl.router import table
from anvil_ctl.router.judgement.breaker import Limits
from anvil_ctl.router.judgement.work import Work, known
from anvil_ctl.router.table import Table


class Ordering(StrEnum):
    """How candidates are ordered: as the preset lists them, by quality, or just the best one."""

    COST = "cost"
    QUALITY = "quality"
    SINGLE = "single"


class Policy(msgspec.Struct, frozen=True):
    """What a mode wants of its tiers. `verify` False sends every answer on as it comes."""

    ordering: Ordering = Ordering.COST
    verify: bool = True
    residency: bool = True
    stickiness: bool = True


class Fallback(msgspec.Struct, frozen=True):
    """How far one request goes. `max_tokens` and `deadline_s` 0 set no limit; sizes are bytes,
    times seconds."""

    max_attempts: int = 3
    max_tokens: int = 0
    verifier_s: float = 5.0
    max_buffer: int = 32 << 20
    deadline_s: float = 0.0


class Log(msgspec.Struct, frozen=True):
    """The decision log: how many records are kept in memory, and in how large files; `audit` puts
    each decision into the program's log too, as a line of words."""

    ring: int = 10_000
    path: str | None = None
    max_bytes: int = 10 << 20
    keep: int = 3
    audit: bool = False


class Memory(msgspec.Struct, frozen=True):
    """Seconds: how long a served tier counts as loaded, and how long a first choice is put off."""

    ttl: float = 300.0
    max_defer: float = 60.0


class Stickiness(msgspec.Struct, frozen=True):
    """How long a conversation stays with a tier (seconds), and how many are remembered."""

    ttl: float = 600.0
    most: int = 4096


class Judgement(msgspec.Struct, frozen=True):
    """All of it. `verify_raw`: what is sent on as it comes is checked once it is out.
    `early_commit`: a stream's client gets its 200 and signs of life before anybody answers."""

    policy: Policy = Policy()
    fallback: Fallback = Fallback()
    breakers: Limits = Limits()
    residency: Memory = Memory()
    stickiness: Stickiness = Stickiness()
    log: Log = Log()
    redirect_pins: bool = False
    substitution: bool = True
    verify_local_min: bool = True
    verify_raw: bool = False
    early_commit: bool = False
    profile_path: str | None = None
    state_path: str | None = None
    probe_s: float = 0.0


def read(router: Table, warnings: list[str]) -> Judgement:
    """The settings of [router]; adds to `warnings`. Raises ConfigError."""
    for name in router.get("metered_cloud", table.texts, ()):
        if known(name) is None:
            classes = ", ".join(Work)
            warnings.append(
                f"{router.file}: [router]: metered_cloud lists {name!r}, which is none of {classes}"
            )
    fallback = _table(router, "fallback", _FALLBACK_KEYS, warnings)
    return Judgement(
        fallback=_fallback(fallback),
        breakers=_breakers(fallback),
        policy=_policy(_table(router, "policy", _POLICY_KEYS, warnings)),
        residency=_residency(_table(router, "residency", _RESIDENCY_KEYS, warnings)),
        stickiness=_stickiness(_table(router, "stickiness", _STICKINESS_KEYS, warnings)),
        log=_log(_table(router, "log", _LOG_KEYS, warnings)),
        redirect_pins=router.get("pin_denied", table.one_of("error", "redirect"), "error")
        == "redirect",
        substitution=router.get("substitution", table.flag, True),
        verify_local_min=router.get("verify_local_min", table.flag, True),
        verify_raw=router.get("verify_raw", table.one_of("off", "post"), "off") == "post",
        early_commit=router.get("early_commit_pings", table.flag, False),
        profile_path=router.get("profile_path", table.text, None),
        state_path=router.get("state_path", table.text, None),
        probe_s=router.get("probe_interval", table.seconds, 0.0),
    )


_POLICY_KEYS = frozenset({"ordering", "verify", "residency", "stickiness"})
_RESIDENCY_KEYS = frozenset({"ttl", "max_defer_s"})
_STICKINESS_KEYS = frozenset({"ttl", "max_sessions"})
_LOG_KEYS = frozenset({"ring", "path", "max_bytes", "keep", "audit"})
_FALLBACK_KEYS = frozenset(
    {"max_attempts", "max_total_tokens", "verifier_timeout", "max_buffer_bytes", "deadline",
     "circuit_threshold", "circuit_cooldown"}
)  # fmt: skip


def _table(router: Table, name: str, keys: frozenset[str], warnings: list[str]) -> Table:
    found = Table(router.file, f"[router.{name}]", router.get(name, table.mapping, {}))
    warnings += found.unknown(keys)
    return found


def _policy(values: Table) -> Policy:
    return Policy(
        ordering=Ordering(values.get("ordering", table.one_of(*Ordering), "cost")),
        verify=values.get("verify", table.one_of("cascade", "off"), "cascade") == "cascade",
        residency=values.get("residency", table.flag, True),
        stickiness=values.get("stickiness", table.flag, True),
    )


def _residency(values: Table) -> Memory:
    default = Memory()
    return Memory(
        ttl=values.get("ttl", table.seconds, default.ttl),
        max_defer=values.get("max_defer_s", table.seconds, default.max_defer),
    )


def _stickiness(values: Table) -> Stickiness:
    default = Stickiness()
    return Stickiness(
        ttl=values.get("ttl", table.seconds, default.ttl),
        most=values.get("max_sessions", table.whole, default.most),
    )


def _log(values: Table) -> Log:
    default = Log()
    return Log(
        ring=values.get("ring", table.whole, default.ring),
        path=values.get("path", table.text, None),
        max_bytes=values.get("max_bytes", table.whole, default.max_bytes),
        keep=values.get("keep", _count, default.keep),
        audit=values.get("audit", table.flag, False),
    )


def _fallback(values: Table) -> Fallback:
    default = Fallback()
    return Fallback(
        max_attempts=values.get("max_attempts", table.whole, default.max_attempts),
        max_tokens=values.get("max_total_tokens", _count, default.max_tokens),
        verifier_s=values.get("verifier_timeout", table.seconds, default.verifier_s),
        max_buffer=values.get("max_buffer_bytes", table.whole, default.max_buffer),
        deadline_s=values.get("deadline", table.seconds, default.deadline_s),
    )


def _breakers(values: Table) -> Limits:
    default = Limits()
    cooldown = values.get("circuit_cooldown", table.seconds, default.cooldown)
    return Limits(
        threshold=values.get("circuit_threshold", table.whole, default.threshold),
        cooldown=cooldown,
        longest=max(default.longest, cooldown),
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a whole number, 0 or more")
    return value
