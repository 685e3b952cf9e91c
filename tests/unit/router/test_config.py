"""The router's file: what it accepts, and what it says of what it doesn't."""

from __future__ import annotations

import re

import pytest

from anvil_ctl.errors import ConfigError
from anvil_ctl.router.config import Config, parse
from anvil_ctl.router.judgement.breaker import Limits
from anvil_ctl.router.judgement.settings import (
    Fallback,
    Log,
    Memory,
    Ordering,
    Policy,
    Stickiness,
)
from anvil_ctl.router.judgement.work import Work
from tests.unit.router.doubles import config, tier

URL = "http://127.0.0.1:1"
TWO = (tier("fast", URL), tier("heavy", URL, model="Big/Model"))


def load(text: str) -> Config:
    return parse(text.encode(), "router.toml")


def test_a_whole_file_is_read() -> None:
    made = load(
        config(
            tier("a", URL, timeout=3, engine="llamacpp"),
            presets='chat = ["a"]',
            router_keys="relay_timeout = 7\n",
        )
    )

    assert made.mode == "agentic"
    assert made.tiers[0].first_byte_s == 3
    assert dict(made.presets) == {"chat": ("a",)}
    assert len(made.hash) == 64
    assert made.warnings == ()


WRONG = [
    (tier("a", "file:///etc/passwd"), "base_url"),
    (tier("a", "localhost:8080"), "base_url"),
    (tier("a", URL, dialect="gemini"), "dialect"),
    (tier("a", URL, context_limit=True), "context_limit"),
    (tier("a", URL, context_limit=0), "context_limit"),
    (tier("a", URL, privacy="secret"), "privacy"),
    (tier("a", URL, tool_support="yes"), "tool_support"),
    (tier("a", URL, auth_env="lower"), "auth_env"),
    (tier("a", URL, auth_env="AKIAABCDEFGHIJKLMNOP"), "auth_env"),
    (tier("a", URL, model=""), "model"),
    (tier("a", URL, timeout=0), "timeout"),
    (tier("a", URL, max_concurrency=1.5), "max_concurrency"),
    (tier("a", URL, extra_body=[1]), "extra_body"),
    (tier("a", URL, count_tokens="guess"), "count_tokens"),
    (tier("a", URL, passthrough=["chat"]), "passthrough"),
    (tier("a", URL, max_queue=-1), "max_queue"),
    (tier("a", URL, max_tokens_field="tokens"), "max_tokens_field"),
    (tier("a", URL, total_timeout=0), "total_timeout"),
    (tier("a", "http://user:secret@host/v1"), "base_url"),
    (tier("a", "http://host/v1?key=1"), "base_url"),
    (tier("a", URL).replace('"openai"', '["openai"]'), "dialect"),
]


@pytest.mark.parametrize(("table", "key"), WRONG)
def test_a_wrong_key_is_named_with_its_tier_and_value(table: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(table))

    assert "router.toml" in caught.value.message
    assert "'a'" in caught.value.message
    assert key in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "[router]"),
        ("= nonsense", "not TOML"),
        ("[router]\n", "mapping_version, tiers"),
        ('[router]\nmapping_version = "1"\ntiers = []\n', "tiers"),
        (config("[[router.tiers]]\nid = 'a'\n"), "base_url, dialect"),
        (config(tier("a", URL), tier("a", URL)), "duplicate tier id 'a'"),
        (config(tier("a", URL), presets='chat = ["b"]'), "chat"),
        (config(tier("a", URL), presets="chat = []"), "chat"),
        (config(tier("a", URL), presets='chat = ["a"]\nCHAT = ["a"]'), "CHAT"),
        (config(tier("a", URL), router_keys="exhaustion_status = 200\n"), "exhaustion_status"),
        (config(tier("a", URL), router_keys="relay_timeout = nan\n"), "relay_timeout"),
        (config(tier("a", URL, swap_group="cpu")), "swap_group"),
        ('[server]\nauth_env = "a-b"\n' + config(tier("a", URL)), "auth_env"),
        ('[server]\ntrusted_proxy = "10.0.0.1"\n' + config(tier("a", URL)), "a caller's address"),
        ("[server]\nbacklog = 0\n" + config(tier("a", URL)), "backlog"),
    ],
)
def test_a_wrong_file_says_what_to_correct(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)

    assert says in caught.value.message


def test_a_typo_is_warned_about_with_the_key_that_was_meant() -> None:
    made = load(config(tier("a", URL), router_keys="verfy_local_min = true\n"))

    assert made.warnings == (
        "router.toml: [router]: unknown key verfy_local_min; did you mean verify_local_min?",
    )


def test_a_switch_without_effect_is_warned_about() -> None:
    made = load(config(tier("a", URL), router_keys="cost_sync = true\n"))

    assert made.warnings == ("router.toml: [router]: cost_sync has no effect in this version",)


def test_the_judgement_is_the_operators_to_set() -> None:
    text = config(
        tier("a", URL, vision=True, structured_output="json_object", cost_input_per_mtok=3),
        router_keys="""
pin_denied = "redirect"
substitution = false
verify_local_min = false
verify_raw = "post"
early_commit_pings = true
[router.policy]
ordering = "quality"
verify = "off"
residency = false
stickiness = false
[router.fallback]
max_attempts = 2
max_total_tokens = 1000
verifier_timeout = 1.5
max_buffer_bytes = 1024
circuit_threshold = 3
circuit_cooldown = 7
[router.residency]
ttl = 60
max_defer_s = 30
[router.stickiness]
ttl = 120
max_sessions = 10
[router.log]
ring = 5
path = "decisions.jsonl"
max_bytes = 100
keep = 0
audit = true
""",
    )
    made = load(text)
    found = made.judgement

    assert made.warnings == ()
    assert (found.redirect_pins, found.substitution, found.verify_local_min) == (True, False, False)
    assert (found.verify_raw, found.early_commit) == (True, True)
    assert found.policy == Policy(Ordering.QUALITY, False, False, False)
    assert found.fallback == Fallback(2, 1000, 1.5, 1024)
    assert found.breakers == Limits(threshold=3, cooldown=7)
    assert found.residency == Memory(60, 30)
    assert found.stickiness == Stickiness(120, 10)
    assert found.log == Log(5, "decisions.jsonl", 100, 0, True)
    assert made.tiers[0].vision
    assert (made.tiers[0].structured, made.tiers[0].cost_input) == ("json_object", 3.0)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('verify_raw = "pre"', "verify_raw = 'pre': it must be off or post"),
        ("early_commit_pings = 1", "early_commit_pings = 1: it must be true or false"),
        ('pin_denied = "maybe"', "pin_denied = 'maybe': it must be error or redirect"),
        (
            '[router.policy]\nordering = "best"',
            "ordering = 'best': it must be cost or quality or single",
        ),
        ("[router.fallback]\nmax_attempts = 0", "max_attempts = 0"),
        ("[router.log]\nkeep = -1", "keep = -1: it must be a whole number, 0 or more"),
        ("[router.residency]\nttl = 0", "ttl = 0"),
    ],
)
def test_what_is_wrong_with_it_is_said(keys: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        load(config(tier("a", URL), router_keys=f"{keys}\n"))


def test_a_typo_in_its_tables_and_a_class_that_is_none_are_warned_about() -> None:
    keys = 'metered_cloud = ["plannig"]\n[router.policy]\norderng = "cost"\n'

    assert load(config(tier("a", URL), router_keys=keys)).warnings == (
        "router.toml: [router]: metered_cloud lists 'plannig', which is none of " + ", ".join(Work),
        "router.toml: [router.policy]: unknown key orderng; did you mean ordering?",
    )


def test_a_preset_that_lists_a_cloud_in_vain_is_warned_about() -> None:
    cloud = tier("sonnet", URL, privacy="cloud")
    presets = 'planning = ["a", "sonnet"]\nreview = ["sonnet"]\nyolo = ["sonnet", "a"]'
    keys = 'metered_cloud = ["planning"]\nca_file = "own.pem"\n'

    made = load(config(tier("a", URL), cloud, presets=presets, router_keys=keys))

    assert made.ca_file == "own.pem"
    told = "lists sonnet, which costs money, and metered_cloud does not list"
    assert made.warnings == (
        f"router.toml: [router.presets]: review {told} review",
        f"router.toml: [router.presets]: yolo {told} its class: it has none",
    )
