from __future__ import annotations

import json
import tomllib

import pytest
from pydantic import JsonValue

from anvil_ctl.clients.settings import merged
from anvil_ctl.errors import ConfigError

OLD = '{"env": {"A": "1", "MINE": "x"}, "permissions": {"allow": ["Bash"]}}'


def test_what_was_there_stays_in_its_order() -> None:
    after = json.loads(merged(OLD, {"env": {"A": "2", "B": "3"}}, "settings.json"))

    assert list(after) == ["env", "permissions"]
    assert after["env"] == {"A": "2", "MINE": "x", "B": "3"}
    assert after["permissions"] == {"allow": ["Bash"]}


def test_merging_again_changes_no_byte() -> None:
    once = merged(OLD, {"env": {"A": "2"}}, "settings.json")

    assert merged(once, {"env": {"A": "2"}}, "settings.json") == once
    assert merged(OLD, {"env": {"A": "1"}}, "settings.json") == OLD


def test_an_empty_file_is_as_good_as_none() -> None:
    assert json.loads(merged("  ", {"a": "ü"}, "settings.json")) == {"a": "ü"}


TOML = """# mine
model = "gpt"  # for now

[model_providers.other]
name = "other"

[tools]
web = true
"""


def test_toml_keeps_its_comments_and_tables_and_gets_new_keys_before_them() -> None:
    provider: dict[str, JsonValue] = {"anvil": {"auth": {"args": ["-c", "x"]}}}
    values: dict[str, JsonValue] = {"model": "chat", "window": 9, "model_providers": provider}

    after = merged(TOML, values, "config.toml")

    assert after.startswith('# mine\nmodel = "chat"  # for now\n')
    assert tomllib.loads(after) == {
        "model": "chat",
        "window": 9,
        "model_providers": {"other": {"name": "other"}, **provider},
        "tools": {"web": True},
    }
    assert merged(after, values, "config.toml") == after
    assert tomllib.loads(merged("", values, "config.toml")) == values


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("settings.json", "// a comment\n{}"),
        ("settings.json", "{unquoted: 1}"),
        ("settings.json", "[]"),
        ("settings.json", "3"),
        ("config.toml", '{"a": 1}'),
    ],
)
def test_what_cannot_be_merged_without_loss_is_refused(file: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{file}: .*nothing was written") as raised:
        merged(text, {"a": 1}, file)

    assert raised.value.hint
