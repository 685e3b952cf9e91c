"""Ten broken definitions: each is stopped, or warned of, with what decided and what to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl import config
from anvil_ctl.errors import ConfigError
from tests.unit.definitions import FAST, HEAVY, fakoli_dark_text, renderer

TEXT = fakoli_dark_text("wsl2")
A3B = 'model = "nvidia/Qwen3.6-35B-A3B-NVFP4"'


def rendered(text: str) -> None:
    found = renderer(config.parse(text, Path("anvil.toml")))
    for mode in found.config.modes:
        found.mode(mode)


def refusal(before: str, after: str) -> ConfigError:
    assert before in TEXT
    with pytest.raises(ConfigError) as caught:
        rendered(TEXT.replace(before, after, 1))
    return caught.value


@pytest.mark.parametrize(
    ("what", "before", "after", "decided", "next_step"),
    [
        ("a wrong UUID", FAST, HEAVY, "same gpu_uuid", "nvidia-smi -L"),
        ("a UUID that is none", FAST, "1", "machine.roles.fast.gpu_uuid", "edit that key"),
        ("MoE NVFP4 on sm_120", 'model = "nvidia/Qwen3.6-27B-NVFP4"', A3B, "[rule K11]", '"--moe-backend", "marlin"'),
        ("a tier's window over its engine's", "window = 32768\n", "window = 32768\ncontext_limit = 131072\n", "context_limit 131072 is over window 32768", "lower it"),
        ("an engine's window said twice", '"--moe-backend", "marlin"', '"--max-model-len", "4096"', "[rule N01]", "set the tier's own key"),
        ("no tool parser", 'parsers = {tool = "openai"}\n', "", "[rule A01a]", "set parsers.tool"),
        ("two tiers on one port", "port = 30001", "port = 30000", "two tiers have port '30000'", "give one of them another port"),
        ("a bind mount", 'models_volume = "fakoli-models"', 'models_volume = "/mnt/d/models"', "machine.models_volume", "give a plain name"),
        ("an unknown flag", '"--async-scheduling"', '"--swap-space", "4"', "vllm 0.33.0 has no flag --swap-space", "engines/vllm/flags.txt"),
        ("an over-committed card", "vram_mib = 27999", "vram_mib = 31000", "capacity: ", "lower that tier's vram_mib"),
        ("a secret in env", "vram_mib = 27999", 'vram_mib = 27999\nenv = {HF_TOKEN = "hf_x"}', "env.HF_TOKEN looks like a secret", "those belong in .env"),
        ("a token under an innocent name", "vram_mib = 27999", 'vram_mib = 27999\nenv = {EXTRA = "hf_abcdefghijklmnopqrst"}', "env.EXTRA holds what looks like a token", "edit that key"),
        ("a token among the arguments", '"--async-scheduling"', '"--served-by", "sk-abcdefghijklmnopqrst"', "extra_args, number 4 holds what looks like a token", "edit that key"),
        ("a secret in the arguments", '"--async-scheduling"', '"--api-key", "sk-x"', "[rule C11]", "secrets go into .env"),
        ("a localhost URL", 'publish = "127.0.0.1"', 'publish = "localhost"', "[rule A11a]", 'publish = "127.0.0.1"'),
    ],
)  # fmt: skip
def test_a_broken_definition_is_refused_with_what_decided_and_what_to_do(
    what: str, before: str, after: str, decided: str, next_step: str
) -> None:
    error = refusal(before, after)

    assert decided in error.message, what
    assert next_step in error.message + error.hint, what
    assert error.hint


def test_what_a_sites_rules_warn_of_does_not_stop_it() -> None:
    found = renderer(config.parse(TEXT, Path("anvil.toml")))

    assert found.mode("flexibility").compose
    assert {each.kind for each in found.verdicts("flexibility")} == {"warn"}


def test_a_token_that_is_refused_is_not_repeated() -> None:
    token = "hf_abcdefghijklmnopqrst"
    error = refusal("vram_mib = 27999", f'vram_mib = 27999\nenv = {{EXTRA = "{token}"}}')

    assert token not in error.message + error.hint
