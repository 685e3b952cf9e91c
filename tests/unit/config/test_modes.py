from __future__ import annotations

import pytest

from anvil_ctl.config.modes import resolve
from anvil_ctl.errors import UsageError
from tests.unit.definitions import cpu


def test_the_flag_beats_the_environment_which_beats_the_definition() -> None:
    definition, environ = cpu(), {"ANVIL_MODE": "flexibility"}

    assert resolve("agentic", environ, definition) == "agentic"
    assert resolve(None, environ, definition) == "flexibility"
    assert resolve(None, {}, definition) == "agentic"


def test_an_empty_value_counts_as_unset() -> None:
    assert resolve(" ", {"ANVIL_MODE": "  "}, cpu()) == "agentic"


@pytest.mark.parametrize(
    ("flag", "environ", "source"),
    [("agent", {}, "--mode"), (None, {"ANVIL_MODE": "agent"}, "ANVIL_MODE")],
)
def test_an_unknown_mode_is_an_error_that_names_its_source(
    flag: str | None, environ: dict[str, str], source: str
) -> None:
    with pytest.raises(UsageError, match=f"{source}: 'agent' is not a mode") as raised:
        resolve(flag, environ, cpu())

    assert raised.value.exit_code == 2
