from __future__ import annotations

import pytest

from anvil_ctl.clients.facts import answer_tokens, chosen, mode_of, told, windows
from anvil_ctl.errors import UsageError
from tests.unit.definitions import cpu, cpu_text, parse


def test_a_presets_window_is_the_smallest_that_it_has_in_any_mode() -> None:
    assert windows(cpu()) == {"chat": 2048, "long-context": 8192}


def test_within_a_mode_the_largest_tier_of_a_preset_counts() -> None:
    text = cpu_text().replace('chat = ["quick"]', 'chat = ["quick", "long"]')

    assert windows(parse(text))["chat"] == 8192


def test_one_modes_windows_are_its_own() -> None:
    assert windows(cpu(), "agentic") == {"chat": 8192, "long-context": 8192}
    assert windows(cpu(), "flexibility") == {"chat": 2048, "long-context": 8192}


def test_a_window_is_what_the_router_lets_through() -> None:
    text = cpu_text().replace(
        "window = 8192\nslots = 2", "window = 8192\ncontext_limit = 5000\nslots = 2"
    )

    assert windows(parse(text), "agentic")["chat"] == 5000


def test_the_mode_is_the_one_asked_for_else_the_live_one() -> None:
    assert mode_of("flexibility", "agentic") == "flexibility"
    assert mode_of(None, "agentic") == "agentic"
    assert mode_of("any", "agentic") is None
    assert mode_of(None, None) is None
    with pytest.raises(UsageError, match="--mode: 'all' is not a mode"):
        mode_of("all", None)


def test_it_is_said_whose_windows_they_are_and_what_a_switch_changes() -> None:
    assert told(cpu(), "chat", "agentic", live=True) == (
        "The windows are those of mode agentic, which is live; in flexibility it is 2048. "
        "Ask again after a switch, or take --mode any."
    )
    assert told(cpu(), "long-context", "flexibility", live=False) == (
        "The windows are those of mode flexibility, as asked for."
    )
    assert "a switch never breaks a conversation" in told(cpu(), "chat", None, live=False)


def test_an_answer_leaves_room_for_a_question() -> None:
    assert answer_tokens(2048) == 512
    assert answer_tokens(1_000_000) == 32_000


def test_the_model_is_the_one_asked_for_else_chat_else_the_first() -> None:
    assert chosen({"a": 1, "chat": 2}, "a") == "a"
    assert chosen({"a": 1, "chat": 2}, None) == "chat"
    assert chosen({"a": 1, "b": 2}, None) == "a"
    with pytest.raises(UsageError, match="'chap' is not a preset; did you mean 'chat'"):
        chosen({"chat": 1}, "chap")
