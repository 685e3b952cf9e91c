"""The router's file: what it accepts, and what it says of what it doesn't."""

from __future__ import annotations

import pytest

from anvil_ctl.errors import ConfigError
from anvil_ctl.router.config import Config, parse
from anvil_ctl.router.route import Source, resolve
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
    made = load(config(tier("a", URL), router_keys="verify_local_min = true\n"))

    assert made.warnings == (
        "router.toml: [router]: verify_local_min has no effect in this version",
    )


PRESETS = 'Planning = ["heavy"]\nchat = ["fast", "heavy"]\n'


@pytest.mark.parametrize(
    ("model", "source", "ids"),
    [
        ("planning", Source.PRESET, ["heavy"]),
        (" anvil/PLANNING ", Source.PRESET, ["heavy"]),
        ("anvil:chat", Source.PRESET, ["fast", "heavy"]),
        ("heavy", Source.PINNED, ["heavy"]),
        ("big/model", Source.PINNED, ["heavy"]),
        ("claude-sonnet", Source.INFERRED, ["fast", "heavy"]),
        ("", Source.INFERRED, ["fast", "heavy"]),
        (None, Source.INFERRED, ["fast", "heavy"]),
        (["x"], Source.INFERRED, ["fast", "heavy"]),
    ],
)
def test_a_name_is_a_preset_a_tier_a_served_model_or_inferred(
    model: object, source: Source, ids: list[str]
) -> None:
    choice = resolve(load(config(*TWO, presets=PRESETS)), model)

    assert choice.source is source
    assert [candidate.id for candidate in choice.candidates] == ids


def test_without_the_preset_chat_the_first_preset_or_tier_is_inferred() -> None:
    first = resolve(load(config(*TWO, presets='review = ["heavy"]')), "x")
    assert [candidate.id for candidate in first.candidates] == ["heavy"]

    bare = resolve(load(config(*TWO)), "x")
    assert [candidate.id for candidate in bare.candidates] == ["fast"]


CLOUD = (tier("near", URL), tier("far", URL, privacy="cloud"))
CLOUD_PRESETS = 'chat = ["near", "far"]\nquick-edit = ["far"]\n'


@pytest.mark.parametrize(
    ("metered", "model", "ids"),
    [
        ([], "chat", ["near"]),
        ([], "far", []),
        ([], "anything", ["near"]),
        (["chat"], "chat", ["near", "far"]),
        (["chat"], "quick-edit", []),
        (["bounded-edit"], "quick-edit", ["far"]),
        (["chat"], "far", ["far"]),
        (["chat"], "anything", ["near"]),
    ],
)
def test_a_cloud_tier_is_asked_only_where_the_operator_said_so(
    metered: list[str], model: str, ids: list[str]
) -> None:
    text = config(*CLOUD, presets=CLOUD_PRESETS, router_keys=f"metered_cloud = {metered}\n")

    assert [each.id for each in resolve(load(text), model).candidates] == ids
