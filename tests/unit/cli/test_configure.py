"""The verbs of `config` as a user meets them: real processes, no Docker."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest

from tests.unit.cli.process import run, run_in


@pytest.fixture
def home() -> Path:
    assert run("init", "--site", "cpu").returncode == 0
    return Path(os.environ["ANVIL_HOME"])


def test_set_then_get_gives_the_value_and_says_what_is_next(home: Path) -> None:
    done = run("config", "set", "modes.agentic.tiers.starter.slots", "4")

    assert "next: anvil-ctl up" in done.stderr
    assert "anvil.toml.bak.1" in done.stdout
    assert run("config", "get", "modes.agentic.tiers.starter.slots").stdout == "4\n"
    assert "left as it is" in run("config", "set", "machine.router_port", "8000").stdout
    assert not (home / "anvil.toml.bak.2").exists()


def test_show_prints_defaults_and_no_token(home: Path) -> None:
    token = run("connect", "token").stdout.strip()
    run("config", "set", "modes.agentic.description", f"my token is {token}")

    shown = run("config", "show")

    assert token
    assert token not in shown.stdout + run("config", "show", "--json").stdout
    assert tomllib.loads(shown.stdout)["router"]["drain_timeout_s"] == 30
    assert json.loads(run("config", "show", "--json").stdout) == tomllib.loads(shown.stdout)


def test_show_says_which_file_a_mode_comes_from(home: Path) -> None:
    tree = tomllib.loads((home / "anvil.toml").read_text(encoding="utf-8"))
    own = home / "own.toml"
    tier = "\n".join(
        f"{k} = {json.dumps(v)}" for k, v in tree["modes"]["agentic"]["tiers"][0].items()
    )
    own.write_text(
        'presets = {chat = ["starter"], long-context = ["starter"]}\n[[tiers]]\n' + tier,
        encoding="utf-8",
    )

    shown = run("config", "show", ANVIL_CONFIG_AGENTIC=str(own))

    assert shown.stdout.startswith(f"# modes.agentic: {own}\n")
    assert (
        f"agentic: 1 tiers, {own}"
        in run("config", "validate", ANVIL_CONFIG_AGENTIC=str(own)).stdout
    )


def test_a_definition_in_the_working_folder_changes_nothing(home: Path, tmp_path: Path) -> None:
    stray = tmp_path / "stray"
    stray.mkdir()
    (stray / "anvil.toml").write_text("version = 99\n", encoding="utf-8")

    done = run_in(stray, "config", "validate")

    assert done.returncode == 0
    assert done.stdout.endswith("valid\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("config", "get", "machine.router_prt"), "machine.router_prt: not there; did you mean 'router_port'?"),
        (("config", "set", "machine.router_port", "x"), "machine.router_port: Input should be a valid integer"),
        (("config", "set", "machine.router_port", "0"), "nothing was written: with machine.router_port = 0"),
        (("config", "get", "a b"), "'a b' is not a key"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_code_2(
    home: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_schema_is_json_and_needs_no_definition() -> None:
    assert json.loads(run("config", "schema").stdout)["title"] == "anvil.toml"
    assert "tiers" in json.loads(run("config", "schema", "--mode-file").stdout)["properties"]
