from __future__ import annotations

import difflib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvil_ctl.config import edit
from anvil_ctl.config.model import Config
from anvil_ctl.config.show import effective
from anvil_ctl.errors import ConfigError, UsageError
from tests.unit.definitions import cpu, cpu_text


def assign(text: str, key: str, value: str) -> str:
    parts = edit.parse_key(key)
    return edit.assign(text, parts, edit.typed(Config, parts, value, "anvil.toml"), "anvil.toml")


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("key", "value", "lines"),
    [
        ("machine.router_port", "9000", ["- router_port = 8000", "+ router_port = 9000"]),
        ("modes.agentic.tiers.starter.slots", "4", ["- slots = 2", "+ slots = 4"]),
        ("modes.agentic.tiers.starter.vision", "true", ["+ vision = true"]),
        ("router.drain_timeout_s", "5", ["+ drain_timeout_s = 5"]),
        ("modes.flexibility.tiers.long.extra_args", '["--a", "b"]', ['+ extra_args = ["--a", "b"]']),
        ('modes.agentic.presets."a.b"', '["starter"]', ['+ "a.b" = ["starter"]']),
        ("machine.roles.gpu.device", "nvidia", ["+ ", "+ [machine.roles.gpu]", '+ device = "nvidia"']),
    ],
)  # fmt: skip
def test_an_edit_changes_its_own_lines_and_no_other(key: str, value: str, lines: list[str]) -> None:
    assert changed_lines(cpu_text(), assign(cpu_text(), key, value)) == lines


def test_a_new_key_stays_above_the_comment_that_announces_the_next_table() -> None:
    edited = assign(cpu_text(), "router.drain_timeout_s", "5")

    assert 'mapping_version = "1"\ndrain_timeout_s = 5\n\n# Long shared prefixes' in edited


def test_a_comment_behind_a_value_stays_behind_the_new_one() -> None:
    text = cpu_text().replace("router_port = 8000", "router_port = 8000  # the one clients know")

    assert "router_port = 1234  # the one clients know" in assign(
        text, "machine.router_port", "1234"
    )


def test_the_value_that_is_there_already_gives_the_same_text() -> None:
    text = cpu_text().replace('chat = ["starter"]', "chat = [ 'starter' ]")

    assert assign(text, "modes.agentic.presets.chat", '["starter"]') == text


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("machine.router_port", "9000", 9000),
        ("router.drain_timeout_s", "5", 5),
        ("modes.agentic.description", "123", "123"),
        ("modes.agentic.description", "true", "true"),
        ("modes.agentic.description", '"quoted"', "quoted"),
        ("machine.roles.cpu.device", "nvidia", "nvidia"),
        ("modes.agentic.tiers.starter.vision", "false", False),
        ("machine.roles.cpu.gpu_uuid", "GPU-1", "GPU-1"),
    ],
)
def test_a_value_gets_the_type_that_its_key_has(key: str, text: str, value: object) -> None:
    found = edit.typed(Config, edit.parse_key(key), text, "anvil.toml")

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("machine.router_prt", "1", "anvil.toml: machine.router_prt: unknown key; did you mean 'router_port'?"),
        ("modes.agentic.tiers.starter.slot", "1", "modes.agentic.tiers.starter.slot: unknown key; did you mean 'slots'?"),
        ("modes.agentic.tiers.strter.slots", "1", "modes.agentic.tiers.strter: not there; did you mean 'starter'?"),
        ("machine.router_port", "x", "machine.router_port: Input should be a valid integer, unable to parse|valid integer (is 'x')"),
        ("modes.agentic.tiers.starter.vision", "yes", "modes.agentic.tiers.starter.vision: Input should be a valid boolean (is 'yes')"),
        ("machine.router_port.x", "1", "machine.router_port.x: unknown key"),
        ("modes.agentic.tiers.starter", "{}", "modes.agentic.tiers.starter: "),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_key_value_and_remedy(key: str, value: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        assign(cpu_text(), key, value)

    assert any(each in raised.value.message for each in said.split("|"))
    assert raised.value.message.startswith("anvil.toml: ")


@pytest.mark.parametrize("text", ["", "a b", "x = 1\ny", "a..b", "a = 1 #"])
def test_what_is_no_key_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is not a key") as raised:
        edit.parse_key(text)

    assert "machine.router_port" in raised.value.hint


@pytest.mark.parametrize("key", [("modes", "flexibility", "b"), ("modes", "agentic", "a")])
def test_tables_of_one_kind_with_others_between_them_can_be_edited(key: tuple[str, ...]) -> None:
    text = "[modes.agentic]\na = 1\n[machine]\nx = 1\n[modes.flexibility]\nb = 1\n"

    edited = edit.assign(text, key, 2, "anvil.toml")

    assert changed_lines(text, edited) == [f"- {key[-1]} = 1", f"+ {key[-1]} = 2"]


def test_what_cannot_be_edited_without_harm_is_left_to_the_user() -> None:
    text = "[modes.agentic]\na = 1\n[machine]\nx = 1\n[modes.agentic.presets]\nb = 1\n"

    with pytest.raises(ConfigError, match="in an order that cannot be edited") as raised:
        edit.assign(text, ("modes", "other", "c"), 7, "anvil.toml")

    assert "by hand" in raised.value.hint


@given(st.integers(1, 65535), st.text(max_size=30))
def test_whatever_is_assigned_is_what_is_read_back(port: int, words: str) -> None:
    text = edit.assign(cpu_text(), ("machine", "router_port"), port, "anvil.toml")
    text = edit.assign(text, ("modes", "agentic", "description"), words, "anvil.toml")

    expected = tomllib.loads(cpu_text())
    expected["machine"]["router_port"] = port
    expected["modes"]["agentic"]["description"] = words
    assert tomllib.loads(text) == expected


def test_a_lookup_sees_defaults_and_names_tiers_by_id() -> None:
    tree = effective(cpu())

    key = edit.parse_key("modes.agentic.tiers.starter.vision")
    assert edit.lookup(tree, key, "anvil.toml") is False
    with pytest.raises(UsageError, match=r"router.token_en: not there; did you mean 'token_env'\?"):
        edit.lookup(tree, ("router", "token_en"), "anvil.toml")
