"""Another digest is another tier, and no other thing is."""

from __future__ import annotations

import msgspec
import pytest

from anvil_ctl.router.dialects.call import Dialect
from anvil_ctl.router.profile.fingerprint import differences, digest, identity, is_ours
from tests.unit.router.judgement import examples

TIER = msgspec.structs.replace(
    examples.local().tiers[0],
    engine="llamacpp",
    quantization="Q4_1",
    max_output_tokens=100,
    extra_body={"a": {"b": 1, "c": 2}},
    extra_body_defaults={"e": 1},
    params={"image": "anvil/llamacpp:1", "command": ["-c", "8192", "-np", "2"]},
)


def fingerprint(**changes: object) -> str:
    return digest(identity(msgspec.structs.replace(TIER, **changes), "agentic"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "other"), ("model", "other"), ("engine", "vllm"), ("quantization", "Q8_0"),
        ("base_url", "http://127.0.0.1:10"), ("dialect", Dialect.ANTHROPIC), ("context_limit", 1),
        ("max_output_tokens", 5), ("extra_body", {"a": 1}), ("extra_body_defaults", {}),
        ("params", {"image": "anvil/llamacpp:2"}),
    ],
)  # fmt: skip
def test_everything_that_answers_depend_on_changes_the_digest(field: str, value: object) -> None:
    assert fingerprint(**{field: value}) != fingerprint()


@pytest.mark.parametrize(
    ("field", "value"),
    [("local", False), ("tool_support", False), ("auth_env", "X"), ("cost_input", 3.0),
     ("max_concurrency", 9), ("first_byte_s", 1.0), ("swap_group", "g"), ("vision", True)],
)  # fmt: skip
def test_nothing_else_does(field: str, value: object) -> None:
    assert fingerprint(**{field: value}) == fingerprint()


def test_the_mode_and_the_served_model_are_part_of_it_and_the_order_of_keys_is_not() -> None:
    assert digest(identity(TIER, "flexibility")) != fingerprint()
    assert digest(identity(TIER, "agentic", "other")) != fingerprint()
    assert fingerprint(extra_body={"a": {"c": 2, "b": 1}}) == fingerprint()


def test_the_digest_is_the_same_in_every_process_and_says_how_it_was_made() -> None:
    assert digest({"tier": "a"}) == (
        "anvil1:1d1ea57c519dfabf39d36ff6ccb3d574349e9fb4304abe6459866b5fd42b5cce"
    )
    assert is_ours(fingerprint())
    assert not is_ours("0" * 64)
    assert not is_ours(None)


def test_what_changed_is_said_in_the_words_of_the_configuration() -> None:
    before = identity(TIER, "agentic")
    flags = {"image": "anvil/llamacpp:1", "command": ["-c", "4096", "-np", "2"]}
    now = identity(msgspec.structs.replace(TIER, params=flags, quantization=None), "agentic")

    assert differences(before, now) == [
        "params.command: 8192 -> 4096",
        "quantization: Q4_1 -> (none)",
    ]
    assert differences(before, before) == []
    assert differences(None, now) == ["what was measured is not on record"]
