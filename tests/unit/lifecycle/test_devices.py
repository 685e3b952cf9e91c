"""Cards are waited for until what comes has room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anvil_ctl.capacity import CardLedger, Claim
from anvil_ctl.hardware import Card, Cards
from anvil_ctl.lifecycle.devices import CardError, prove_free
from tests.unit.definitions import HEAVY, fakoli_dark_text, parse, renderer

SITE = parse(fakoli_dark_text("linux"))
MACHINE = SITE.machine
LEDGER = (CardLedger("heavy", 97887, 2048, (Claim("a", budget=86140),)),)


def cards(used: int) -> Cards:
    card = Card(0, HEAVY, "RTX PRO 6000", 97887, used, "12.0", display=False, driver="580")
    return Cards((card,), "nvidia-smi")


def prove(looks: Iterator[Cards], waited: list[str], limit_s: float = 5.0) -> str:
    def waiting(_seconds: float, full: str) -> None:
        waited.append(full)

    return prove_free(MACHINE, LEDGER, lambda: next(looks), waiting, limit_s)


def test_memory_that_is_given_back_slowly_is_waited_for() -> None:
    waited: list[str] = []

    said = prove(iter([cards(90000), cards(90000), cards(500)]), waited)

    assert said == "heavy 500 MiB in use"
    assert waited == 2 * ["role heavy: 90000 of 97887 MiB are in use, and 86140 are needed"]


def test_memory_that_is_never_given_back_is_said_with_who_to_ask() -> None:
    def forever() -> Iterator[Cards]:
        while True:
            yield cards(90000)

    with pytest.raises(CardError, match="90000 of 97887 MiB are in use") as raised:
        prove(forever(), [], limit_s=0)

    assert "nvidia-smi" in raised.value.hint


def test_a_driver_that_does_not_answer_does_not_keep_the_mode_from_starting() -> None:
    waited: list[str] = []

    assert "Driver/library" in prove(
        iter([Cards(tool="nvidia-smi", problem="Driver/library version mismatch")]), waited
    )
    assert waited == []


def test_the_site_of_two_cards_proves_both() -> None:
    found = renderer(SITE).ledger("agentic").cards

    assert [each.role for each in found] == ["heavy", "fast"]
