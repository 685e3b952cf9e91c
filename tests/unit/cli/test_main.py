"""The command line as a user meets it: real processes, no Docker."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.unit.cli.process import run


@pytest.fixture
def installed() -> Path:
    assert run("init", "--site", "cpu").returncode == 0
    return Path(os.environ["ANVIL_HOME"])


def test_init_writes_a_definition_and_tokens_that_only_the_user_can_read(installed: Path) -> None:
    assert (installed / ".env").stat().st_mode & 0o777 == 0o600
    assert installed.stat().st_mode & 0o777 == 0o700
    assert "[modes.agentic]" in (installed / "anvil.toml").read_text(encoding="utf-8")


def test_init_again_changes_nothing(installed: Path) -> None:
    before = {path.name: path.read_bytes() for path in installed.iterdir() if path.is_file()}

    done = run("init", "--site", "cpu")

    assert "left as it is" in done.stdout
    assert before == {
        path.name: path.read_bytes() for path in installed.iterdir() if path.is_file()
    }


def test_new_tokens_keep_what_else_is_in_the_file(installed: Path) -> None:
    secrets = installed / ".env"
    before = secrets.read_text(encoding="utf-8")
    secrets.write_text(before + "HF_TOKEN='mine'\n", encoding="utf-8")

    run("init", "--tokens")

    after = secrets.read_text(encoding="utf-8")
    assert "HF_TOKEN='mine'" in after
    assert not set(before.splitlines()[1:]) & set(after.splitlines())


def test_secrets_that_others_can_read_are_refused(installed: Path) -> None:
    (installed / ".env").chmod(0o644)

    done = run("connect", "env")

    assert done.returncode == 2
    assert "next: chmod 600" in done.stderr


def test_connect_env_is_for_a_shell_and_for_programs(installed: Path) -> None:
    said = json.loads(run("connect", "env", "--json").stdout)

    assert said["OPENAI_BASE_URL"] == "http://127.0.0.1:8000/v1"
    assert said["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8000"
    assert f"export OPENAI_API_KEY={said['OPENAI_API_KEY']}" in run("connect", "env").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("status",), 2, "anvil.toml does not exist"),
        (("init", "--site", "moon"), 2, "--site: 'moon' is not a site; sites: cpu"),
        (("switch",), 2, "Missing argument"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = run(*arguments)

    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (("switch", "agent"), {}, "--mode: 'agent' is not a mode"),
        (("up",), {"ANVIL_MODE": "fast"}, "ANVIL_MODE: 'fast' is not a mode"),
        (("plan", "dance", "agentic"), {}, "'dance' has no plan; verbs: up, switch, down"),
        (("plan", "switch"), {}, "plan switch takes MODE after it"),
        (("plan", "down", "agentic"), {}, "plan down takes nothing after it"),
        (("pull", "everything"), {}, "'everything' names no weights: give OWNER/NAME"),
        (("render", "--check", "--diff"), {}, "--check goes without --diff and --out"),
    ],
)
def test_a_wrong_name_says_what_there_is(
    installed: Path, arguments: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    done = run(*arguments, **environ)

    assert done.returncode == 2
    assert said in done.stderr


def test_files_for_another_machine_need_neither_its_cards_nor_docker(tmp_path: Path) -> None:
    heavy, fast = (f"GPU-00000000-0000-4000-8000-00000000000{each}" for each in "ab")
    cards = ("--gpu", f"heavy={heavy}", "--gpu", f"fast={fast}")
    assert run("init", "--site", "fakoli-dark", "--platform", "wsl2", *cards).returncode == 0
    empty = tmp_path / "empty"
    empty.mkdir()

    done = run("render", "--out", str(tmp_path / "out"), PATH=str(empty))

    assert done.returncode == 0
    for mode in ("agentic", "flexibility"):
        compose = (tmp_path / "out" / f"anvil-{mode}" / "compose.yaml").read_text(encoding="utf-8")
        assert heavy in compose
        assert fast in compose


def test_a_diff_against_nothing_is_the_whole_file_and_writes_nothing(installed: Path) -> None:
    done = run("render", "--diff", "--mode", "agentic")

    assert '+name: "anvil-agentic"' in done.stdout
    assert not (installed / "rendered").exists()


def test_without_docker_the_exit_code_says_so(installed: Path, tmp_path: Path) -> None:
    done = run("status", PATH=str(tmp_path))

    assert done.returncode == 127
    assert "there is no docker command on PATH" in done.stderr


def test_a_daemon_that_does_not_answer_is_not_read_as_nothing_live(installed: Path) -> None:
    done = run("status", DOCKER_HOST="unix:///nonexistent.sock")

    assert done.returncode == 1
    assert "Cannot connect" in done.stderr
    assert "next: sudo systemctl start docker" in done.stderr


def test_progress_goes_to_stderr_and_colours_to_terminals_only(installed: Path) -> None:
    done = run("connect", "env", "--json", FORCE_COLOR="")

    assert "\x1b[" not in done.stdout + done.stderr


def dark(home: Path, before: str = "", after: str = "", file: str = "anvil.toml") -> None:
    """The two-card site, with one change in a file of it."""
    cards = [f"--gpu={name}=GPU-00000000-0000-4000-8000-00000000000{n}" for name, n in CARDS]
    assert run("init", "--site", "fakoli-dark", "--platform", "linux", *cards).returncode == 0
    definition = home / file
    text = definition.read_text(encoding="utf-8")
    assert before in text
    definition.write_text(text.replace(before, after, 1), encoding="utf-8")


CARDS = (("heavy", "a"), ("fast", "b"))


def test_render_warns_on_stderr_and_refuses_with_the_rules_name(tmp_path: Path) -> None:
    home, out = Path(os.environ["ANVIL_HOME"]), str(tmp_path / "out")
    dark(home, '"--async-scheduling"', '"--enforce-eager"')

    fine = run("render", "--mode", "agentic", "--out", out)
    refused = run("render", "--mode", "flexibility", "--out", out)

    assert fine.returncode == 0
    assert "warning: tier heavy-local: " in fine.stderr
    assert "[rule K22]" in fine.stderr
    assert "rule" not in fine.stdout
    assert refused.returncode == 2
    assert "[rule K15]" in refused.stderr
    assert "next: take it out of extra_args" in refused.stderr
    assert not (tmp_path / "out" / "anvil-flexibility").exists()


def test_render_refuses_a_mode_that_does_not_fit_and_prints_the_ledger(tmp_path: Path) -> None:
    home = Path(os.environ["ANVIL_HOME"])
    dark(home, "vram_mib = 27999", "vram_mib = 31000", "agentic.toml")

    refused = run("render", "--mode", "agentic", "--out", str(tmp_path / "out"))

    assert refused.returncode == 2
    assert "31000 MiB and a reserve of 4608 are 35608 of 32607: 3001 too many" in refused.stderr
    assert "heavy-local  94208   21744" in refused.stderr
