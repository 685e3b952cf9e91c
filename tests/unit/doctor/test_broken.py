"""Ten broken definitions: what `render` and `doctor` each say of them, kept as a table."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from anvil_ctl import config
from anvil_ctl.doctor.checks import CHECKS
from anvil_ctl.doctor.finding import Finding
from anvil_ctl.doctor.report import examine
from anvil_ctl.doctor.survey import Survey
from anvil_ctl.errors import ConfigError
from tests.unit.definitions import FAST, fakoli_dark_text, recorded, renderer
from tests.unit.doctor.surveys import idle

TEXT = fakoli_dark_text("wsl2")
NOWHERE = "GPU-00000000-0000-4000-8000-0000000000ff"
A3B = 'model = "nvidia/Qwen3.6-35B-A3B-NVFP4"'

# What is broken: the words that are replaced, those in their place, the check and the rule that say so.
BROKEN = {
    "wrong UUID": (FAST, NOWHERE, "D10", ""),
    "MoE NVFP4 on sm_120": ('model = "nvidia/Qwen3.6-27B-NVFP4"', A3B, "D13", "K11"),
    "tier window over engine window": ("window = 32768\n", "window = 32768\ncontext_limit = 131072\n", "D23", "A08"),
    "missing tool parser": ('parsers = {tool = "openai"}\n', "", "D25", "A01a"),
    "two tiers on one port": ("port = 30001", "port = 30000", "D28", "D28"),
    "bind mount on WSL2": ('models_volume = "fakoli-models"', 'models_volume = "/mnt/d/models"', "D54", "S01"),
    "unknown flag": ('"--async-scheduling"', '"--swap-space", "4"', "D20", "K25"),
    "over-committed card": ("vram_mib = 27999", "vram_mib = 31000", "D12", "D12"),
    "secret in the file": ("vram_mib = 27999", 'vram_mib = 27999\nenv = {HF_TOKEN = "hf_x"}', "D42", "C11"),
    "localhost URL": ('publish = "127.0.0.1"', 'publish = "localhost"', "D27", "A11a"),
}  # fmt: skip


def broken(what: str) -> str:
    before, after, _check, _rule = BROKEN[what]
    assert before in TEXT
    return TEXT.replace(before, after, 1)


def refusal(text: str) -> ConfigError | None:
    """What `render` says, of the first mode that it refuses."""
    try:
        found = renderer(config.parse(text, Path("anvil.toml")))
        for mode in found.config.modes:
            found.mode(mode)
    except ConfigError as error:
        return error
    return None


def surveys(text: str) -> list[Survey]:
    """A machine that is right but for its definition, looked at for each mode."""
    try:
        config.parse(text, Path("anvil.toml"))
    except ConfigError as error:
        return [replace(idle(TEXT, "agentic"), definition=error)]
    return [idle(text, "agentic"), idle(text, "flexibility")]


def failures(text: str) -> list[Finding]:
    """Of the first mode that has any."""
    for survey in surveys(text):
        if found := [each for each in examine(survey, CHECKS) if each.blocks]:
            return found
    return []


@pytest.mark.parametrize("what", BROKEN)
def test_doctor_says_it_once_by_its_check_with_what_to_do(what: str) -> None:
    _before, _after, check, rule = BROKEN[what]

    (found,) = failures(broken(what))

    assert (found.id, found.rule or rule) == (check, rule)
    assert found.remedy


@pytest.mark.parametrize("what", [each for each in BROKEN if each != "wrong UUID"])
def test_render_refuses_it_by_the_same_rule(what: str) -> None:
    error = refusal(broken(what))

    assert error is not None
    assert f"[rule {BROKEN[what][3]}]" in error.message
    assert error.hint


def test_render_cannot_know_the_cards_of_this_machine() -> None:
    assert refusal(broken("wrong UUID")) is None


def test_a_plan_for_another_machine_may_name_cards_that_are_not_here() -> None:
    text = broken("wrong UUID").replace("[machine]\n", "[machine]\nplan_only = true\n")

    assert failures(text) == []


def test_the_table_of_all_ten() -> None:
    lines = []
    for what in BROKEN:
        error = refusal(broken(what))
        rules = re.findall(r"\[rule (\S+?)\]", error.message) if error else []
        (found,) = failures(broken(what))
        lines += [
            what,
            f"  render: {'refused by ' + ', '.join(dict.fromkeys(rules)) if rules else 'accepted'}",
            f"  doctor: {found.status} {found.id} {found.observed}",
            f"  next:   {found.remedy}",
            "",
        ]

    recorded("broken", "\n".join(lines))
