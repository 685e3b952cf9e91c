from __future__ import annotations

import json

import pytest

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


@pytest.mark.parametrize("text", ["// a comment\n{}", "{unquoted: 1}", "[]", "3"])
def test_what_cannot_be_merged_without_loss_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^settings.json: .*nothing was written") as raised:
        merged(text, {"a": 1}, "settings.json")

    assert raised.value.hint
