from __future__ import annotations

import pytest

from anvil_ctl import engines
from anvil_ctl.capacity import memory_fraction
from anvil_ctl.config import Config
from anvil_ctl.errors import ConfigError
from anvil_ctl.renderer import Renderer
from tests.unit.definitions import fakoli_dark_text, parse, renderer


def dark(before: str = "", after: str = "", count: int = 1) -> Config:
    text = fakoli_dark_text("linux")
    assert before in text
    return parse(text.replace(before, after, count) if before else text)


def fraction(config: Config, mode: int, number: int) -> str:
    tier = list(config.modes.values())[mode].tiers[number]
    return memory_fraction(tier, config.machine.roles[tier.role])


@pytest.mark.parametrize(
    ("vram_mib", "share"),
    [(86141, "0.88"), (86140, "0.87"), (90112, "0.92"), (6000, "0.06"), (95839, "0.97")],
)
def test_the_share_of_a_card_is_cut_and_never_rounded_up(vram_mib: int, share: str) -> None:
    config = dark("vram_mib = 90112", f"vram_mib = {vram_mib}")

    assert fraction(config, 1, 0) == share


def test_what_the_desktop_leaves_is_the_share_that_was_tuned_by_hand() -> None:
    assert fraction(dark(), 0, 1) == "0.85"


def test_a_share_that_is_said_is_taken_and_without_a_budget_the_engine_decides() -> None:
    assert fraction(dark(), 0, 0) == "0.88"
    assert fraction(dark("vram_mib = 90112\n"), 1, 0) == ""


def test_an_engine_that_nobody_publishes_or_builds_is_named() -> None:
    found = renderer(dark())
    bare = Renderer(found.config, found.engines, {}, found.templates, found.rulebook)

    with pytest.raises(
        ConfigError, match="tier flex-coder-next: nobody publishes an image 'cuda'"
    ) as raised:
        bare.service("flexibility", found.config.modes["flexibility"].tiers[3])

    assert raised.value.hint == "see engines/ktransformers/README.md"


def test_a_template_that_fails_names_the_engine_and_the_key() -> None:
    found = renderer(dark())
    engine = found.engines["sglang"]
    image = engine.file.images["cuda"].model_copy(update={"environment": {"A": "{{ nothing }}"}})
    file = engine.file.model_copy(update={"images": {"cuda": image}})
    broken = {**found.engines, "sglang": engines.Engine(file, engine.flags)}

    with pytest.raises(ConfigError, match=r"engines/sglang/engine.toml: environment: 'nothing'"):
        Renderer(found.config, broken, found.images, found.templates, found.rulebook).mode(
            "agentic"
        )


def test_a_tiers_own_variables_win_over_the_engines_and_not_over_the_pin() -> None:
    config = dark(
        'served_name = "gpt-oss-20b"\n',
        'served_name = "gpt-oss-20b"\nenv = {FLASHINFER_CUDA_ARCH_LIST = "12.0a"}\n',
    )
    service = renderer(config).service("agentic", config.modes["agentic"].tiers[1])

    assert service.environment["FLASHINFER_CUDA_ARCH_LIST"] == "12.0a"
    assert service.environment["CUDA_VISIBLE_DEVICES"] == service.gpu_uuid


def test_drafting_in_vllm_is_one_json_argument() -> None:
    config = dark(
        'served_name = "qwen36-27b"\n',
        'served_name = "qwen36-27b"\nspeculative = {algorithm = "mtp", num_draft_tokens = 3}\n',
    )
    command = renderer(config).service("flexibility", config.modes["flexibility"].tiers[1]).command

    at = command.index("--speculative-config")
    assert command[at + 1] == '{"method": "mtp", "num_speculative_tokens": 3}'


def test_without_the_prompt_cache_each_engine_is_told_so_in_its_own_words() -> None:
    config = parse(fakoli_dark_text("linux").replace("prompt_cache = true", "prompt_cache = false"))
    found = renderer(config)
    sglang, vllm = config.modes["agentic"].tiers

    assert "--disable-radix-cache" in found.service("agentic", sglang).command
    assert "--disable-prefix-caching" in found.service("agentic", vllm).command
