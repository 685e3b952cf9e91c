"""Waiting until cards are free of what was loaded, before the next engine looks for room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from anvil_ctl.capacity import CardLedger
from anvil_ctl.config.model import Machine
from anvil_ctl.errors import AnvilError
from anvil_ctl.hardware import Cards

# A driver gives memory back within seconds; under WSL2 it was seen to take most of a minute.
LIMIT_S = 90.0
_AGAIN_S = 0.5


class CardError(AnvilError):
    """A card has no room for what is to be loaded."""


def prove_free(
    machine: Machine,
    ledger: tuple[CardLedger, ...],
    look: Callable[[], Cards],
    waiting: Callable[[float, str], None],
    limit_s: float = LIMIT_S,
) -> str:
    """Wait until each role's card has room for what comes; what they use then.

    CardError after `limit_s`. Where the cards cannot be looked at, nothing is waited for.
    """
    began = time.monotonic()
    while True:
        cards = look()
        if not cards.known:
            return f"not looked at: {cards}"
        full = "; ".join(too_full(machine, ledger, cards))
        spent = time.monotonic() - began
        if not full:
            return "; ".join(_used(machine, ledger, cards)) or "nothing to look at"
        if spent > limit_s:
            raise CardError(
                f"not free {limit_s:.0f} s after the old mode was removed: {full}",
                hint="nvidia-smi shows who holds it: stop that, then try again",
            )
        waiting(spent, full)
        time.sleep(_AGAIN_S)


def too_full(machine: Machine, ledger: tuple[CardLedger, ...], cards: Cards) -> Iterator[str]:
    """Cards that have less room than the ledger's roles ask for. Pure."""
    for role in ledger:
        uuid = machine.roles[role.role].gpu_uuid
        card = cards.named(uuid) if uuid else None
        if card is None or card.used_mib is None or card.memory_mib is None:
            continue
        room = card.memory_mib - card.used_mib
        if room < role.committed:
            yield (
                f"role {role.role}: {card.used_mib} of {card.memory_mib} MiB are in use, "
                f"and {role.committed} are needed"
            )


def _used(machine: Machine, ledger: tuple[CardLedger, ...], cards: Cards) -> Iterator[str]:
    for role in ledger:
        uuid = machine.roles[role.role].gpu_uuid
        card = cards.named(uuid) if uuid else None
        if card is not None:
            yield f"{role.role} {card.used_mib} MiB in use"
