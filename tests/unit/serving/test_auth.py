"""Who is let in."""

from __future__ import annotations

import pytest

from anvil_ctl.errors import ConfigError
from anvil_ctl.serving.auth import Auth, token_from_env


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ({"authorization": "Bearer tok"}, True),
        ({"authorization": "bearer   tok  "}, True),
        ({"x-api-key": " tok "}, True),
        ({"authorization": "Bearer no"}, False),
        ({"authorization": "Basic dG9r", "x-api-key": "tok"}, False),
        ({"authorization": "Bearer", "x-api-key": "tok"}, False),
        ({"x-api-key": "t\xf6k"}, False),
        ({"x-api-key": "t\u2603k"}, False),
        ({}, False),
    ],
)
def test_only_the_token_is_admitted(headers: dict[str, str], admitted: bool) -> None:
    assert Auth("tok").admits(headers) is admitted


def test_a_token_beyond_ascii_compares_as_its_bytes() -> None:
    assert Auth("tök").admits({"x-api-key": "tök".encode().decode("latin-1")})


def test_the_token_is_not_in_the_repr() -> None:
    assert "tok" not in repr(Auth("tok"))


def test_an_unset_variable_is_an_error_and_not_an_open_door(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "  ")
    with pytest.raises(ConfigError, match="SOME_TOKEN"):
        token_from_env("SOME_TOKEN")
