"""Rules that add: what a definition leaves out is given, and named."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from pydantic import ValidationError

from anvil_ctl.engines import Engine
from anvil_ctl.rulebook import Rule
from tests.unit.definitions import fakoli_dark_text, parse, renderer

LAZY = '    "--mamba-radix-cache-strategy", "extra_buffer_lazy",\n'


def test_a_flag_that_an_open_issue_asks_for_is_added_and_named() -> None:
    text = fakoli_dark_text("linux")
    assert LAZY in text
    found = renderer(parse(text.replace(LAZY, "")))
    command = found.service("agentic", found.config.modes["agentic"].tiers[0]).command

    assert command[-2:] == ["--mamba-radix-cache-strategy", "extra_buffer_lazy"]
    (added,) = found.additions("agentic")
    assert str(added) == (
        "tier heavy-local: drafting and the radix cache on a recurrent model get the strategy "
        "extra_buffer_lazy [rule sglang-36537]"
    )
    assert found.mode("agentic").compose.count("extra_buffer_lazy") == 1


def test_what_the_definition_says_itself_is_not_added_again() -> None:
    found = renderer(parse(fakoli_dark_text("linux")))

    assert found.additions("agentic") == []
    assert found.mode("agentic").compose.count("extra_buffer_lazy") == 1


def test_a_variable_is_added_for_the_versions_that_need_it() -> None:
    found = renderer(parse(fakoli_dark_text("wsl2")))
    vllm = found.engines["vllm"]
    older = Engine(vllm.file.model_copy(update={"version": "0.25.0"}), vllm.flags)
    old = replace(found, engines={**found.engines, "vllm": older})
    name = "VLLM_USE_V2_MODEL_RUNNER"
    tier = found.config.modes["agentic"].tiers[1]

    assert old.service("agentic", tier).environment[name] == "0"
    assert {each.rule for each in old.additions("agentic")} == {"K06"}
    assert name not in found.service("agentic", tier).environment
    assert [each.rule for each in old.verdicts("agentic") if each.kind == "deny"] == []


RULE = """
id = "X01"
when = [{field = "tier.slots", equals = 1}]
message = "m"
why = "w"
remedy = "r"
source = "s"
review_by = 2027-01-01
"""


@pytest.mark.parametrize(
    "more", ['verdict = "add"', 'verdict = "warn"\narguments = ["--x"]', 'verdict = "maybe"']
)
def test_a_rule_adds_something_if_and_only_if_it_says_so(more: str) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(tomllib.loads(RULE + more))
