from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl import config
from anvil_ctl.errors import ConfigError
from tests.unit.definitions import cpu_text, parse


def test_the_cpu_site_is_a_valid_definition() -> None:
    definition = parse(cpu_text())

    assert [tier.id for tier in definition.modes["flexibility"].tiers] == ["quick", "long"]
    assert all(tier.swap for tier in definition.modes["flexibility"].tiers)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        config.load(tmp_path / "anvil.toml")

    assert raised.value.hint == "anvil-ctl init"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("router_port = 8000", "router_prt = 8000", "machine.router_prt: unknown key; did you mean 'router_port'"),
        ("router_port = 8000", "router_port = 99999", "machine.router_port: Input should be less than or equal to 65535 (is 99999)"),
        ("slots = 2", "slot = 2", "modes.agentic.tiers.0.slot: unknown key; did you mean 'slots'"),
        ('chat = ["starter"]', 'chat = ["startr"]', "preset 'chat' names tier 'startr'; tiers here: starter"),
        ('id = "starter"', 'id = "router"', "tier id 'router' is the name of a control service"),
        ('role = "cpu"', 'role = "gpu"', "tier 'starter' has role 'gpu'; roles: cpu"),
        ('device = "cpu"', 'device = "nvidia"', 'gpu_uuid goes with device = "nvidia"'),
        ("port = 30003", "port = 30002", "two tiers have port '30002'"),
        ("version = 1", "version = 2", "version: Input should be 1 (is 2)"),
        ('model = "gguf/starter.gguf"', 'model = "/etc/passwd"', "modes.agentic.tiers.0.model"),
        ('chat = ["quick"]', 'talk = ["quick"]', "every mode must have the same presets; not in all: chat, talk"),
        ("version = 1", "version = = 1", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_key_value_and_remedy(before: str, after: str, said: str) -> None:
    text = cpu_text()
    assert before in text

    with pytest.raises(ConfigError) as raised:
        parse(text.replace(before, after, 1))

    assert said in raised.value.message
    assert raised.value.message.startswith("anvil.toml: ")


def test_tiers_that_share_a_role_must_be_swapped() -> None:
    text = cpu_text()
    last = text.rindex("swap = true")

    with pytest.raises(
        ConfigError, match="quick, long share role 'cpu': set swap = true on 'long'"
    ):
        parse(text[:last] + "swap = false" + text[last + len("swap = true") :])
