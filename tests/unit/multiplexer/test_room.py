"""Whether there is room, by the numbers alone. Sizes are MiB."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from anvil_ctl.multiplexer.host import available_mib
from anvil_ctl.multiplexer.model import Memory, Model, Park
from anvil_ctl.multiplexer.room import Host, may_sleep, room

from .fakes import row


def model(name: str, memory: Memory, *, holds: int = 0, leftover: int = 0) -> Model:
    park = Park("sleep", (), (), holds_mib=holds, leftover_mib=leftover)
    return msgspec.structs.replace(
        row(name), memory=memory, park=park if holds or leftover else None
    )


def test_a_card_that_is_too_small_is_refused_with_its_numbers() -> None:
    found = room(model("a", Memory(card=90000)), None, [], Host(card=88000))

    assert found.refusal is not None
    assert (found.refusal.status, found.refusal.code) == (503, "insufficient_memory")
    assert found.refusal.message == (
        "a needs 90000 MiB of the card: 88000 MiB may be taken, "
        "0 MiB are left over by 0 models that sleep, 88000 MiB are free"
    )


# Worked examples of 8.7: 18 GB needs 20.7, 66 needs 75.9.
@pytest.mark.parametrize(
    ("copied", "available", "limit", "fits"),
    [
        (18000, 20700, None, True),
        (18000, 20699, None, False),
        (66000, 100000, 46000, False),
        (66000, 100000, 75900, True),
        (66000, None, None, True),
        (0, 0, None, True),
    ],
)
def test_a_loader_that_copies_needs_its_size_and_a_bit_more(
    copied: int, available: int | None, limit: int | None, *, fits: bool
) -> None:
    found = room(model("a", Memory(copied=copied)), None, [], Host(available, limit))

    assert (found.refusal is None) is fits


def test_a_refusal_for_ram_has_its_four_numbers() -> None:
    leaving = model("b", Memory(copied=10000))

    found = room(model("a", Memory(copied=66000)), leaving, [], Host(53000, 70000))

    assert found.refusal is not None
    assert found.refusal.message == (
        "a needs 75900 MiB of RAM to load: 53000 MiB are available, 10000 MiB will be given back, "
        "and its container's limit is 70000 MiB"
    )


def test_only_what_is_held_in_ram_is_given_back() -> None:
    """After its load, a model that was mapped is on the card: no credit for it."""
    wanted = model("a", Memory(copied=18000))
    mapped, copied = model("b", Memory(mapped=60000)), model("b", Memory(copied=60000))

    assert room(wanted, mapped, [], Host(10000)).refusal is not None
    assert room(wanted, copied, [], Host(10000)).refusal is None


def test_a_mapped_file_larger_than_the_ram_is_loaded_with_a_warning() -> None:
    found = room(model("a", Memory(mapped=74800)), None, [], Host(53000))

    assert found.refusal is None
    assert found.warning is not None
    assert "74800 MiB of files through 53000 MiB" in found.warning


def test_who_slept_longest_is_stopped_for_a_model_that_needs_the_ram() -> None:
    asleep = [model(name, Memory(), holds=30000) for name in "bcd"]

    found = room(model("a", Memory(copied=40000)), None, asleep, Host(10000))

    assert found.to_stop == ("b", "c")


def test_one_that_wakes_needs_no_ram_but_the_card() -> None:
    woken = model("a", Memory(card=80, copied=40000), holds=40000, leftover=1)

    assert room(woken, None, [woken], Host(available=5, card=80)).refusal is None
    assert room(woken, None, [woken], Host(available=5, card=79)).refusal is not None


def test_what_would_be_stopped_for_the_next_model_does_not_go_to_sleep() -> None:
    leaving = model("a", Memory(card=80), leftover=30)
    following = model("b", Memory(card=80))

    assert may_sleep(leaving, following, [], Host(card=110))
    assert not may_sleep(leaving, following, [], Host(card=109))
    assert not may_sleep(model("c", Memory()), following, [], Host())


def test_the_host_is_asked_for_what_can_be_had_without_swapping(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 65536000 kB\nMemFree: 1024 kB\nMemAvailable:   52428800 kB\n")

    assert available_mib(file) == 51200
    assert available_mib(tmp_path / "none") is None
    assert (available_mib() or 1) > 0
