from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl import config
from anvil_ctl.config.change import change
from anvil_ctl.errors import ConfigError
from tests.unit.config.test_sources import AGENTIC, without_agentic
from tests.unit.definitions import cpu_text


@pytest.fixture
def main(tmp_path: Path) -> Path:
    path = tmp_path / "anvil.toml"
    path.write_text(cpu_text(), encoding="utf-8")
    return path


def test_a_change_is_written_and_the_old_file_is_kept(main: Path) -> None:
    done = change(main, "machine.router_port", "9000", {})

    assert done.copy == main.with_name("anvil.toml.bak.1")
    assert done.copy.read_text(encoding="utf-8") == cpu_text()
    assert config.load(main, {}).machine.router_port == 9000


def test_what_is_already_so_is_not_written(main: Path) -> None:
    before = main.stat()

    assert not change(main, "machine.router_port", "8000", {}).changed
    assert main.stat() == before
    assert list(main.parent.iterdir()) == [main]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("machine.router_port", "99999", "machine.router_port: Input should be less than or equal to 65535 (is 99999)"),
        ("modes.agentic.tiers.starter.role", "gpu", "tier 'starter' has role 'gpu'; roles: cpu"),
    ],
)  # fmt: skip
def test_what_would_not_be_valid_is_not_written(
    main: Path, key: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        change(main, key, value, {})

    assert raised.value.message.startswith("nothing was written: ")
    assert said in raised.value.message
    assert main.read_text(encoding="utf-8") == cpu_text()
    assert list(main.parent.iterdir()) == [main]


def test_a_mistake_can_be_corrected_by_a_change(main: Path) -> None:
    main.write_text(cpu_text().replace("router_port = 8000", "router_port = 0"), encoding="utf-8")

    change(main, "machine.router_port", "8000", {})

    assert config.load(main, {}).machine.router_port == 8000


def test_a_key_of_a_mode_with_its_own_file_is_changed_there(main: Path) -> None:
    text = without_agentic('[modes.agentic]\nfile = "agentic.toml"\n')
    main.write_text(text, encoding="utf-8")
    own = main.with_name("agentic.toml")
    own.write_text(AGENTIC, encoding="utf-8")

    done = change(main, "modes.agentic.tiers.starter.window", "2048", {})

    assert done.path == own
    assert own.read_text(encoding="utf-8") == AGENTIC.replace("4096", "2048")
    assert main.read_text(encoding="utf-8") == text
