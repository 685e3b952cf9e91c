"""Mistakes in a definition for GPUs: each is refused with its key, its value and what to do."""

from __future__ import annotations

from datetime import date

import pytest

from anvil_ctl.errors import ConfigError
from tests.unit.definitions import FAST, HEAVY, fakoli_dark_text, parse

TEXT = fakoli_dark_text("linux")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (FAST, HEAVY, "roles 'heavy' and 'fast' have the same gpu_uuid"),
        (f'gpu_uuid = "{FAST}"\n', "", 'gpu_uuid goes with device = "nvidia"'),
        ("reserve_mib = 4608", "reserve_mib = 40000", "reserve_mib is 40000: memory_mib must be set, and be more"),
        ("memory_mib = 97887\nreserve_mib = 2048\n", "", "role 'heavy' has no memory_mib"),
        ("memory_fraction = 0.88", "memory_fraction = 0.97", "memory_fraction 0.97 of 97887 MiB is 94951 MiB, over its vram_mib 94208"),
        ("window = 32768", "window = 32768\ncontext_limit = 131072", "context_limit 131072 is over window 32768"),
        ('revision = "6cee5e81ee83917806bbde320786a8fb61efebee"\n', "", "model 'openai/gpt-oss-20b' is a repository: pin it"),
        ('revision = "6cee5e81ee83917806bbde320786a8fb61efebee"', 'revision = "main"', "revision: "),
        ('model = "qwen35-awq"', 'model = "qwen35-awq"\nrevision = "6cee5e81ee83917806bbde320786a8fb61efebee"', "ORGANISATION/NAME"),
        ("num_draft_tokens = 4", "num_draft_tokens = 5", "num_draft_tokens must be num_steps \\+ 1 = 4"),
        ("eagle_topk = 1, ", "", "num_steps and eagle_topk go together"),
        ("eagle_topk = 1, ", "eagle_top_k = 1, ", "eagle_top_k: unknown key; did you mean 'eagle_topk'"),
        ('type = "reasoning_effort", default = "low"', 'type = "reasoning_effort", default = true', "low, medium or high for an effort"),
        ('thinking = {type = "reasoning_effort", default = "low"}', 'thinking = {type = "reasoning_effort", default = "low"}\nextra_body = {reasoning_effort = "high"}', "reasoning_effort is set by thinking"),
        ("vram_mib = 27999", 'vram_mib = 27999\nenv = {CUDA_VISIBLE_DEVICES = "0"}', "env.CUDA_VISIBLE_DEVICES follows from the role's gpu_uuid"),
        ("vram_mib = 27999", 'vram_mib = 27999\nenv = {HF_TOKEN = "hf_abc"}', "env.HF_TOKEN looks like a secret"),
        ('status = {state = "experimental", reason = "measured with an older SGLang; not run with 0.5.23"}', 'status = {state = "blocked", reason = "it loops"}', "blocked \\(it loops\\): set enabled = false"),
        ('state = "experimental", reason = "measured with an older SGLang; not run with 0.5.23"', 'state = "experimental"', "needs a reason"),
        ('chat = ["heavy-local", "fast-local"]', 'chat = ["heavy"]', "preset 'chat' names tier 'heavy'"),
        ('long-context = ["flex-gptoss-120b"]', 'long-context = ["flex-deepseek-v4"]', "'flex-deepseek-v4', which has enabled = false"),
        ('id = "flex-deepseek-v4"\nenabled = false', 'id = "flex-deepseek-v4"', "share role 'heavy': set swap = true on 'flex-gptoss-120b' too"),
        ("port = 30001", "port = 30000", "two tiers have port '30000'"),
        ("port = 30001", "port = 8002", "port 8002, which \\[machine\\] gives to a control service"),
        ('platform = "linux"', 'platform = "windows"', "machine.platform"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_the_key_and_the_remedy(
    before: str, after: str, said: str
) -> None:
    assert before in TEXT

    with pytest.raises(ConfigError, match=said):
        parse(TEXT.replace(before, after, 1))


def test_a_repository_lies_in_the_volume_as_the_hub_lays_it_out() -> None:
    tier = parse(TEXT).modes["flexibility"].tiers[1]

    assert tier.weights == f"hub/models--nvidia--Qwen3.6-27B-NVFP4/snapshots/{tier.revision}"


def test_thinking_that_is_forced_overrules_callers_and_a_default_does_not() -> None:
    heavy, fast = parse(TEXT).modes["agentic"].tiers

    assert heavy.thinking is not None
    assert heavy.thinking.forced
    assert heavy.thinking.body() == {"chat_template_kwargs": {"enable_thinking": False}}
    assert fast.thinking is not None
    assert fast.thinking.body() == {"reasoning_effort": "low"}


def test_a_status_is_asked_for_again_after_its_day_with_what_it_rests_on() -> None:
    plain = 'status = {state = "experimental", reason = "not run with this image"}'
    dated = plain.replace("}", ', issue = "vLLM issue 1", review_by = 2027-01-01}')
    assert plain in TEXT
    tiers = parse(TEXT.replace(plain, dated, 1)).modes["flexibility"].tiers
    said = [each for tier in tiers if (each := tier.overdue(date(2027, 1, 2)))]

    about = "not run with this image; vLLM issue 1"
    assert said == [
        f"tier flex-qwen36-gguf: 'experimental' was to be looked at again by 2027-01-01: {about}"
    ]
    assert not any(tier.overdue(date(2027, 1, 1)) for tier in tiers)
