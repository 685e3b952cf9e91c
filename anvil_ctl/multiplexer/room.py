"""Whether the machine has room for a model, before anything is disturbed. Pure; sizes are MiB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anvil_ctl.multiplexer.model import Model, Refusal

CODE = "insufficient_memory"
# A load takes more than it keeps: buffers, a second copy of the largest tensor.
_WHILE_LOADING = 1.15
# Beyond this share of what is available, a mapped file's pages push each other out.
_PAGES = 0.8
_RETRY_S = 60


@dataclass(frozen=True, slots=True)
class Host:
    """What there is. None is not known, or no limit.

    `available`: the host's RAM (MemAvailable). `limit`: what the model's own container may have.
    `card`: what the role's models may take of its card.
    """

    available: int | None = None
    limit: int | None = None
    card: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What a load needs done first, and what to say of it."""

    refusal: Refusal | None = None
    to_stop: tuple[str, ...] = ()
    warning: str | None = None


def room(model: Model, leaving: Model | None, asleep: Sequence[Model], host: Host) -> Room:
    """Room for a model: which of those asleep must be stopped for it, whoever slept longest first.

    `leaving` is the resident that makes way; what it holds in RAM is counted as given back only
    where it does not keep that while it sleeps.
    """
    others = [each for each in asleep if each.name != model.name]
    wakes = any(each.name == model.name for each in asleep)
    for stopped in range(len(others) + 1):
        kept = others[stopped:]
        card = _card(model, kept, host)
        ram = None if wakes else _ram(model, leaving, others[:stopped], host)
        if card is None and ram is None:
            gone = tuple(each.name for each in others[:stopped])
            return Room(to_stop=gone, warning=None if wakes else _slow(model, host))
    return Room(refusal=Refusal(503, CODE, card or ram or "", _RETRY_S))


def may_sleep(model: Model, following: Model | None, asleep: Sequence[Model], host: Host) -> bool:
    """Whether there is room for what a model keeps while it sleeps: in the host's RAM, and on the
    card beside the model that follows it."""
    if model.park is None:
        return False
    if host.available is not None and model.park.holds_mib > host.available:
        return False
    if following is None:
        return True
    found = room(following, None, [*asleep, model], host)
    return found.refusal is None and model.name not in found.to_stop


def _card(model: Model, kept: Sequence[Model], host: Host) -> str | None:
    """What is wrong with the card's memory."""
    left_over = sum(each.park.leftover_mib for each in kept if each.park is not None)
    if host.card is None or model.memory.card + left_over <= host.card:
        return None
    return (
        f"{model.name} needs {model.memory.card} MiB of the card: {host.card} MiB may be taken, "
        f"{left_over} MiB are left over by {len(kept)} models that sleep, "
        f"{max(host.card - left_over, 0)} MiB are free"
    )


def _ram(model: Model, leaving: Model | None, stopped: Sequence[Model], host: Host) -> str | None:
    """What is wrong with the host's RAM."""
    need = round(model.memory.copied * _WHILE_LOADING)
    credit = sum(each.park.holds_mib for each in stopped if each.park is not None)
    if leaving is not None and leaving.park is None:
        credit += leaving.memory.copied
    have = [host.available + credit] if host.available is not None else []
    have += [host.limit] if host.limit is not None else []
    if not have or need <= min(have):
        return None
    return (
        f"{model.name} needs {need} MiB of RAM to load: {host.available} MiB are available, "
        f"{credit} MiB will be given back, and its container's limit is "
        f"{'none' if host.limit is None else f'{host.limit} MiB'}"
    )


def _slow(model: Model, host: Host) -> str | None:
    if host.available is None or model.memory.mapped <= _PAGES * host.available:
        return None
    return (
        f"{model.name} reads {model.memory.mapped} MiB of files through {host.available} MiB of "
        "available RAM: the load will be slow"
    )
