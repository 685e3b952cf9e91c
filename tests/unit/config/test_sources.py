"""Section by section what is meant by a mode's own file, with real files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from anvil_ctl import config
from anvil_ctl.config.load import open_definition
from anvil_ctl.config.sources import read_file
from anvil_ctl.errors import ConfigError
from tests.unit.definitions import cpu, cpu_text

AGENTIC = """\
presets.chat = ["starter"]
presets.long-context = ["starter"]

[[tiers]]
id = "starter"
engine = "llamacpp"
image = "cpu"
role = "cpu"
model = "gguf/starter.gguf"
served_name = "own"
window = 4096
port = 30000
"""


def without_agentic(entry: str = "") -> str:
    """The cpu definition with its agentic section replaced."""
    text = cpu_text()
    start, end = text.index("[modes.agentic]"), text.index("# Single-turn work")
    return text[:start] + entry + text[end:]


@pytest.fixture
def main(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "anvil.toml"
    path.parent.mkdir()
    path.write_text(cpu_text(), encoding="utf-8")
    return path


def window(main: Path, environ: Mapping[str, str]) -> int:
    return config.load(main, environ).modes["agentic"].tiers[0].window


def test_without_a_file_of_its_own_a_mode_is_the_section(main: Path) -> None:
    assert config.load(main, {}) == cpu()


def test_a_modes_file_is_relative_to_the_folder_of_the_definition(
    main: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main.write_text(without_agentic('[modes.agentic]\nfile = "agentic.toml"\n'), encoding="utf-8")
    (main.parent / "agentic.toml").write_text(AGENTIC, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert window(main, {}) == 4096
    assert open_definition(main, {}, read_file).sources.files == {
        "agentic": main.parent / "agentic.toml"
    }


def test_a_variable_wins_over_the_file_and_over_the_section(main: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(AGENTIC.replace("4096", "1024"), encoding="utf-8")
    (main.parent / "agentic.toml").write_text(AGENTIC, encoding="utf-8")
    environ = {"ANVIL_CONFIG_AGENTIC": str(other)}

    assert window(main, environ) == 1024
    main.write_text(without_agentic('[modes.agentic]\nfile = "agentic.toml"\n'), encoding="utf-8")
    assert window(main, environ) == 1024
    main.write_text(without_agentic(), encoding="utf-8")
    assert window(main, environ) == 1024


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_variable_counts_as_unset(main: Path, blank: str) -> None:
    assert window(main, {"ANVIL_CONFIG_AGENTIC": blank, "ANVIL_CONFIG_AGENITC": blank}) == 8192


def test_a_variable_for_a_mode_that_is_none_is_an_error(main: Path) -> None:
    with pytest.raises(ConfigError, match="ANVIL_CONFIG_AGENITC: 'agenitc' is not a mode; modes: "):
        config.load(main, {"ANVIL_CONFIG_AGENITC": "x.toml"})


def test_a_file_and_a_section_for_one_mode_are_refused(main: Path) -> None:
    text = cpu_text().replace("[modes.agentic]\n", '[modes.agentic]\nfile = "agentic.toml"\n')
    main.write_text(text, encoding="utf-8")

    with pytest.raises(
        ConfigError, match=r"modes.agentic: the mode has a file and a section .*tiers"
    ):
        config.load(main, {})


@pytest.mark.parametrize("value", ["3", '""', "[]", "true"])
def test_a_file_that_is_no_path_is_refused(main: Path, value: str) -> None:
    main.write_text(without_agentic(f"[modes.agentic]\nfile = {value}\n"), encoding="utf-8")

    with pytest.raises(ConfigError, match=r"modes.agentic.file: must be the name of a file"):
        config.load(main, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not exist"),
        ("tiers = = 1", "not valid TOML"),
        (AGENTIC.replace("window", "windw"), "tiers.0.window: required, and absent"),
        (AGENTIC + "slot = 1\n", "tiers.0.slot: unknown key; did you mean 'slots'"),
        (AGENTIC + "slots = 0\n", "tiers.0.slots: Input should be greater than 0 (is 0)"),
        (AGENTIC.replace('role = "cpu"', 'role = "gpu"'), "tier 'starter' has role 'gpu'; roles: cpu"),
        ("[modes.agentic]\n" + AGENTIC, "presets: required, and absent"),
    ],
)  # fmt: skip
def test_the_errors_of_a_modes_file_name_that_file(
    main: Path, tmp_path: Path, text: str | None, said: str
) -> None:
    own = tmp_path / "own.toml"
    if text is not None:
        own.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match="^" + re.escape(f"{own}")) as raised:
        config.load(main, {"ANVIL_CONFIG_AGENTIC": str(own)})

    assert said in raised.value.message
    assert raised.value.exit_code == 2


def test_a_misspelt_mode_in_the_definition_is_named(main: Path) -> None:
    main.write_text(cpu_text().replace("[modes.agentic]", "[modes.agnetic]"), encoding="utf-8")

    with pytest.raises(ConfigError, match=r"modes.agnetic"):
        config.load(main, {})


def test_a_mode_that_is_not_live_is_validated_too(main: Path, tmp_path: Path) -> None:
    own = tmp_path / "flexibility.toml"
    own.write_text(AGENTIC + "port = 1\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=re.escape(str(own))):
        config.load(main, {"ANVIL_MODE": "agentic", "ANVIL_CONFIG_FLEXIBILITY": str(own)})
