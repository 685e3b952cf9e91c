from __future__ import annotations

import tomllib

from anvil_ctl.config.show import HIDDEN, as_text, effective
from tests.unit.definitions import cpu, cpu_text, parse


def test_what_is_shown_is_the_definition_with_its_defaults() -> None:
    shown = as_text(effective(cpu()))

    assert parse(shown) == cpu()
    assert tomllib.loads(shown)["router"]["token_env"] == "ANVIL_ROUTER_TOKEN"


def test_a_secret_that_got_into_the_definition_is_not_shown() -> None:
    text = cpu_text().replace("slots = 2", 'slots = 2\nextra_args = ["--key=s3cret-token", "no"]')

    shown = as_text(effective(parse(text), ["s3cret-token", "no"]))

    assert "s3cret-token" not in shown
    assert f'extra_args = ["--key={HIDDEN}", "no"]' in shown


def test_values_are_printed_as_a_shell_wants_them() -> None:
    assert as_text("plain words") == "plain words"
    assert as_text(True) == "true"
    assert as_text(8000) == "8000"
    assert as_text(["a", "b"]) == '["a", "b"]'
