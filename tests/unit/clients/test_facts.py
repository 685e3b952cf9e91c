from __future__ import annotations

import pytest

from anvil_ctl.clients.facts import answer_tokens, chosen, windows
from anvil_ctl.errors import UsageError
from tests.unit.definitions import cpu, cpu_text, parse


def test_a_presets_window_is_the_smallest_that_it_has_in_any_mode() -> None:
    assert windows(cpu()) == {"chat": 2048, "long-context": 8192}


def test_within_a_mode_the_largest_tier_of_a_preset_counts() -> None:
    text = cpu_text().replace('chat = ["quick"]', 'chat = ["quick", "long"]')

    assert windows(parse(text))["chat"] == 8192


def test_an_answer_leaves_room_for_a_question() -> None:
    assert answer_tokens(2048) == 512
    assert answer_tokens(1_000_000) == 32_000


def test_the_model_is_the_one_asked_for_else_chat_else_the_first() -> None:
    assert chosen({"a": 1, "chat": 2}, "a") == "a"
    assert chosen({"a": 1, "chat": 2}, None) == "chat"
    assert chosen({"a": 1, "b": 2}, None) == "a"
    with pytest.raises(UsageError, match="'chap' is not a preset; did you mean 'chat'"):
        chosen({"chat": 1}, "chap")
