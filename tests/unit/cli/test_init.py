"""`init` and `hardware` as a user meets them: real processes, a stand-in for nvidia-smi, no Docker."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.unit.cli.process import run
from tests.unit.definitions import FAST, HEAVY

REFERENCE = "GPU-d0f446cf-1771-414c-e116-a39138798a8c"
ROWS = f"""\
0, {FAST}, NVIDIA GeForce RTX 5090, 32607, 1873, 12.0, Enabled, 580.95
1, {HEAVY}, NVIDIA RTX PRO 6000 Blackwell, 97887, 4, 12.0, Disabled, 580.95
"""


@pytest.fixture
def home() -> Path:
    return Path(os.environ["ANVIL_HOME"])


def path_with(folder: Path, script: str | None) -> str:
    """A PATH with Docker, and with an nvidia-smi if there is a script for one."""
    folder.mkdir(exist_ok=True)
    (folder / "docker").symlink_to(shutil.which("docker") or "/bin/false")
    if script is not None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / "nvidia-smi").chmod(0o755)
    return f"{folder}:/bin"


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """The PATH of a machine without NVIDIA's driver."""
    return path_with(tmp_path / "bare", None)


@pytest.fixture
def two_cards(tmp_path: Path) -> str:
    return path_with(tmp_path / "cards", f"cat <<END\n{ROWS}END")


def definition(home: Path) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((home / "anvil.toml").read_text(encoding="utf-8"))
    return found


def test_the_named_site_is_planned_for_on_a_machine_without_gpus(home: Path, bare: str) -> None:
    done = run("init", "--site", "fakoli-dark", "--yes", PATH=bare)

    assert done.returncode == 0, done.stderr
    assert "site fakoli-dark: a plan for another machine" in done.stdout
    assert "agentic renders" in done.stdout
    assert "next: anvil-ctl render --mode agentic --out DIR" in done.stderr
    assert "no nvidia-smi" in done.stderr
    assert REFERENCE in (home / "anvil.toml").read_text(encoding="utf-8")
    assert run("config", "get", "machine.plan_only").stdout == "true\n"


def test_a_plan_is_rendered_and_never_started(home: Path, bare: str, tmp_path: Path) -> None:
    run("init", "--site", "fakoli-dark", "--yes", PATH=bare)
    out = tmp_path / "out"

    for mode in ("agentic", "flexibility"):
        assert run("render", "--mode", mode, "--out", str(out), PATH=bare).returncode == 0
        assert REFERENCE in (out / f"anvil-{mode}" / "compose.yaml").read_text(encoding="utf-8")
        for verb in (("up", "--mode", mode), ("switch", mode), ("quickstart",)):
            refused = run(*verb, PATH=bare)
            assert refused.returncode == 3, refused.stderr
            assert "plan for another machine" in refused.stderr
            assert "next: on the machine that has its cards: anvil-ctl config set" in refused.stderr


def test_the_cards_decide_which_site_it_is(home: Path, two_cards: str) -> None:
    done = run("init", PATH=two_cards)

    assert done.returncode == 0, done.stderr
    assert "site fakoli-dark: heavy is NVIDIA RTX PRO 6000 Blackwell, 97887 MiB" in done.stdout
    found = definition(home)["machine"]
    assert isinstance(found, dict)
    assert found["roles"]["heavy"]["gpu_uuid"] == HEAVY
    assert found["roles"]["fast"]["display"] is True
    assert found["ram_mib"] > 0
    assert "plan_only" not in found


def test_without_a_card_it_is_the_site_for_the_processor(home: Path, bare: str) -> None:
    done = run("init", PATH=bare)

    assert "site cpu: no nvidia-smi: this machine has no NVIDIA driver" in done.stdout
    assert (home / ".env").stat().st_mode & 0o777 == 0o600


def test_a_driver_that_fails_stops_it_in_the_drivers_own_words(home: Path, tmp_path: Path) -> None:
    broken = path_with(tmp_path / "broken", "echo 'Driver/library version mismatch'; exit 18")

    done = run("init", PATH=broken)

    assert done.returncode == 1
    assert "nvidia-smi failed: Driver/library version mismatch" in done.stderr
    assert "next: see that nvidia-smi works" in done.stderr
    assert not home.exists()


def test_what_docker_is_needed_for_is_left_out_and_said_so(home: Path, bare: str) -> None:
    done = run("init", "--site", "cpu", PATH=bare)

    assert done.returncode == 0
    assert "left out: the volume fakoli-models, and doctor: " in done.stderr
    assert "next: anvil-ctl init --yes" in done.stderr


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(home: Path, bare: str) -> None:
    done = run("init", "--site", "cpu", "--dry-run", PATH=bare)

    assert done.returncode == 0, done.stderr
    assert f"would write {home / 'anvil.toml'}" in done.stdout
    assert f"would write new tokens to {home / '.env'}" in done.stdout
    assert not home.exists()

    run("init", "--site", "cpu", "--yes", PATH=bare)
    again = run("init", "--dry-run", PATH=bare)
    assert again.stdout.count("left as it is") == 2


def test_a_second_run_changes_nothing_and_says_so(home: Path, bare: str) -> None:
    run("init", "--site", "fakoli-dark", "--yes", PATH=bare)
    before = {each: each.read_bytes() for each in home.iterdir()}

    done = run("init", "--site", "fakoli-dark", "--yes", PATH=bare)

    assert done.stdout.count("left as it is") == 2
    assert before == {each: each.read_bytes() for each in home.iterdir()}


def test_a_plan_that_has_arrived_where_its_cards_are_says_how_to_go_on(
    bare: str, two_cards: str
) -> None:
    cards = ("--gpu", f"heavy={HEAVY}", "--gpu", f"fast={FAST}")
    planned = run("init", "--site", "fakoli-dark", *cards, PATH=bare)
    arrived = run("init", PATH=two_cards)

    assert "its cards are in another machine" in planned.stdout
    assert "its cards are all in this machine" in arrived.stdout
    assert "next: anvil-ctl config set machine.plan_only false" in arrived.stderr


def test_force_writes_it_anew_and_keeps_a_copy(home: Path, bare: str, two_cards: str) -> None:
    run("init", "--site", "fakoli-dark", PATH=bare)

    forced = run("init", "--force", PATH=two_cards)
    again = run("init", "--force", PATH=two_cards)

    assert f"(before: {home}/anvil.toml.bak.1)" in forced.stdout
    assert HEAVY in (home / "anvil.toml").read_text(encoding="utf-8")
    assert REFERENCE in (home / "anvil.toml.bak.1").read_text(encoding="utf-8")
    assert "says just that already: left as it is" in again.stdout
    assert not (home / "anvil.toml.bak.2").exists()


def test_hardware_says_what_there_is_and_which_site_that_makes(two_cards: str, bare: str) -> None:
    shown = run("hardware", PATH=two_cards)
    found = json.loads(run("hardware", "--json", PATH=two_cards).stdout)

    assert f"card 1: NVIDIA RTX PRO 6000 Blackwell, 97887 MiB ({HEAVY})" in shown.stdout
    assert "site: fakoli-dark (heavy is" in shown.stdout
    assert [each["uuid"] for each in found["cards"]["found"]] == [FAST, HEAVY]
    assert found["site"]["name"] == "fakoli-dark"
    assert found["host"]["docker_desktop"] is None
    assert json.loads(run("hardware", "--json", PATH=bare).stdout)["site"]["name"] == "cpu"


def test_hardware_knows_no_site_where_the_driver_fails(tmp_path: Path) -> None:
    broken = path_with(tmp_path / "broken", "echo 'NVIDIA-SMI has failed'; exit 9")

    found = json.loads(run("hardware", "--json", PATH=broken).stdout)

    assert found["site"] == {"name": None, "why": "nvidia-smi failed: NVIDIA-SMI has failed"}
