"""The ledgers, with the arithmetic that operators did by hand as examples."""

from __future__ import annotations

import pytest

from anvil_ctl.capacity import (
    CardLedger,
    Claim,
    LoadClaim,
    RamLedger,
    fraction_within,
    share,
)
from anvil_ctl.config import Mode
from anvil_ctl.errors import ConfigError
from tests.unit.definitions import fakoli_dark_text, parse, renderer, single_gpu_text

PRO_6000 = 97887
RTX_5090 = 32607
GIB = 1 << 30


def card(*claims: Claim, memory: int | None = PRO_6000, reserve: int = 2048) -> CardLedger:
    return CardLedger("heavy", memory, reserve, claims)


@pytest.mark.parametrize(("fraction", "mib"), [(0.88, 86140), (0.92, 90056)])
def test_a_large_model_fits_the_large_card_alone_and_with_no_second_one(
    fraction: float, mib: int
) -> None:
    large, second = Claim("gptoss", budget=share(fraction, PRO_6000)), Claim("two", budget=24576)

    assert large.budget == mib
    assert card(large).problems == []
    assert card(large, second).committed == mib + 24576
    assert "too many" in card(large, second).problems[0]


def test_the_display_cards_ceiling_is_the_share_that_was_tuned_by_hand() -> None:
    ceiling = RTX_5090 - 4608

    assert ceiling == 27999
    assert ceiling / RTX_5090 == pytest.approx(0.8587, abs=1e-4)
    assert fraction_within(ceiling, RTX_5090) == 0.85


def test_nine_tenths_of_the_display_card_are_over_its_ceiling() -> None:
    found = card(Claim("fast", budget=share(0.9, RTX_5090)), memory=RTX_5090, reserve=4608)

    assert share(0.9, RTX_5090) == 29346
    assert found.problems == [
        "role heavy: 29346 MiB and a reserve of 4608 are 33954 of 32607: 1347 too many"
    ]


def test_a_smaller_share_costs_tokens_of_the_kv_cache() -> None:
    """13.27 GiB held 560,887 tokens; 0.85 instead of 0.90 costs about 67,000 of them."""
    per_token = round(13.27 * GIB / 560_887)
    other = share(0.9, RTX_5090) - round(13.27 * 1024)

    def tokens(fraction: float) -> int:
        claim = Claim("fast", share(fraction, RTX_5090), other, 0, 0, per_token)
        assert claim.pool_tokens is not None
        return claim.pool_tokens

    assert tokens(0.9) == pytest.approx(560_887, rel=1e-3)
    assert tokens(0.9) - tokens(0.85) == pytest.approx(67_000, rel=0.02)


def test_the_heavy_models_of_both_modes_cannot_overlap_and_can_take_turns() -> None:
    agentic, flexibility = share(0.88, PRO_6000), share(0.92, PRO_6000)

    assert card(Claim("a", agentic), Claim("b", flexibility)).problems
    turns = card(Claim("a", agentic, swap=True), Claim("b", flexibility, swap=True))
    assert turns.committed == flexibility
    assert turns.problems == []


def test_parts_over_the_budget_are_refused_although_the_budget_fits() -> None:
    over = Claim("x", 20000, weights=18000, kv_bytes_per_token=65536, kv_tokens=65536)

    assert over.kv == 4096
    assert card(over).problems == [
        "tier x: its parts come to 22096 MiB, over its budget of 20000 by 2096"
    ]


def test_what_is_not_declared_is_unknown_and_refuses_nothing() -> None:
    bare = Claim("x")

    assert (bare.kv, bare.pool_tokens, bare.takes) == (None, None, 0)
    assert card(bare).problems == []
    assert "at least 0 MiB" in str(card(bare))
    assert card(Claim("x", 999999), memory=None).problems == []
    assert "not declared" in str(card(Claim("x", 999999), memory=None))


def test_without_a_budget_the_known_parts_are_what_must_fit() -> None:
    assert card(Claim("x", weights=96000)).problems == [
        "role heavy: 96000 MiB and a reserve of 2048 are 98048 of 97887: 161 too many"
    ]


def test_a_loader_that_copies_must_fit_into_ram_and_one_that_maps_is_only_slow() -> None:
    copied = RamLedger(47104, (LoadClaim("x", "heavy", "copy", weights=67584),))
    mapped = RamLedger(47104, (LoadClaim("x", "heavy", "mmap", weights=67584),))

    assert copied.problems == [
        "host RAM: x hold 67584 MiB of 47104 while they load: 20480 too many"
    ]
    assert mapped.problems == []
    assert "the load will be slow" in mapped.warnings[0]


def test_experts_on_the_processor_hold_ram_for_as_long_as_they_run() -> None:
    experts = LoadClaim("experts", "fast", resident=65536)
    copied = LoadClaim("big", "heavy", "copy", weights=40000)

    assert RamLedger(81920, (experts,)).problems == []
    assert "105536 MiB of 81920" in RamLedger(81920, (experts, copied)).problems[0]
    assert RamLedger(None, (experts, copied)).problems == []


def test_of_tiers_that_swap_one_a_role_holds_ram() -> None:
    def swapping(role: str, weights: int) -> LoadClaim:
        return LoadClaim(f"{role}{weights}", role, "copy", weights=weights, swap=True)

    found = RamLedger(100, (swapping("a", 60), swapping("a", 50), swapping("b", 40)))

    assert found.committed == 100


def test_an_over_committed_card_is_refused_at_render_with_the_table() -> None:
    text = fakoli_dark_text("linux").replace("vram_mib = 27999", "vram_mib = 29346", 1)

    with pytest.raises(ConfigError) as caught:
        renderer(parse(text)).mode("agentic")

    assert "role fast: 29346 MiB and a reserve of 4608 are 33954 of 32607: 1347" in str(
        caught.value
    )
    assert "reserve_mib" in caught.value.hint
    table = caught.value.message.splitlines()[1:]
    assert table[0].split() == ["tier", "budget", "weights", "kv", "graphs", "draft", "known", "kv", "room"]  # fmt: skip
    assert table[1].split() == ["heavy-local", "94208", "21744", "1280", "?", "2193", "25217", "at", "most", "7195750", "tokens"]  # fmt: skip
    assert table[-1] == "host RAM: machine.ram_mib is not declared, so it is not checked"


def test_a_slot_of_llamacpp_takes_a_whole_window_and_a_pool_must_hold_one() -> None:
    memory = "memory = {weights_mib = 16785, kv_bytes_per_token = 65536}\nslots = 2"
    text = single_gpu_text().replace(
        "memory = {weights_mib = 16785, kv_bytes_per_token = 34816}", memory
    )
    text = text.replace("slots = 1\n", "", 1).replace(
        'id = "flex-qwen36-gguf"\nenabled = false', 'id = "flex-qwen36-gguf"'
    )
    found = renderer(parse(text)).ledger("flexibility")
    gguf = found.cards[0].claims[-1]

    assert gguf.kv == 2 * 65536 * 65536 >> 20
    assert found.problems == []
    pooled = text.replace(
        "{weights_mib = 20886, kv_bytes_per_token = 32768}",
        "{weights_mib = 20886, kv_bytes_per_token = 65536}",
    )
    assert renderer(parse(pooled)).ledger("flexibility").cards[0].claims[1].kv == 2048


def test_every_site_fits_its_machine() -> None:
    for text in (fakoli_dark_text(), single_gpu_text()):
        found = renderer(parse(text))
        assert [found.ledger(mode).problems for mode in found.config.modes] == [[], []]


@pytest.mark.parametrize(
    ("mode", "tier", "kv_mib"),
    [
        ("agentic", "heavy-local", 1280),
        ("agentic", "fast-local", 768),
        ("flexibility", "flex-gptoss-120b", 2304),
        ("flexibility", "flex-qwen36-27b", 1024),
    ],
)
def test_a_model_of_the_site_must_hold_its_whole_window_in_its_budget(
    mode: Mode, tier: str, kv_mib: int
) -> None:
    claims = [
        each
        for card in renderer(parse(fakoli_dark_text("linux"))).ledger(mode).cards
        for each in card.claims
    ]
    claim = next(each for each in claims if each.tier == tier)

    assert claim.kv == kv_mib
    assert claim.budget is not None
    assert claim.known < claim.budget


def test_a_window_that_the_budget_cannot_hold_is_refused_with_its_parts() -> None:
    text = fakoli_dark_text("linux").replace("window = 32768", "window = 1048576", 1)

    with pytest.raises(ConfigError) as caught:
        renderer(parse(text)).mode("agentic")

    assert "tier fast-local: its parts come to 37786 MiB, over its budget of 27999 by 9787" in str(
        caught.value
    )
    assert "kv room" in str(caught.value)
