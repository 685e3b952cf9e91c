from __future__ import annotations

from pathlib import Path

import pytest

from anvil_ctl import hardware
from anvil_ctl.hardware import Card, Cards, Host, parse_cards, read_cards, read_host, wsl_version

TOOL = "/usr/bin/nvidia-smi"
FAST = "GPU-00000000-0000-4000-8000-00000000000b"
HEAVY = "GPU-00000000-0000-4000-8000-00000000000a"
PRO_6000 = "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"
TWO = f"""\
1, {HEAVY}, {PRO_6000}, 97887, 4, 12.0, Disabled, 580.95
0, {FAST}, NVIDIA GeForce RTX 5090, 32607, 1873, 12.0, Enabled, 580.95
"""


def program(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH that holds an nvidia-smi, where the test puts one there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    monkeypatch.setattr(hardware, "_WSL_TOOL", tmp_path / "wsl" / "nvidia-smi")
    return folder


def test_cards_are_listed_by_their_index_with_all_that_is_said_of_them() -> None:
    found = parse_cards(TWO, TOOL)

    assert found.known
    assert found.found == (
        Card(0, FAST, "NVIDIA GeForce RTX 5090", 32607, 1873, "12.0", True, "580.95"),
        Card(1, HEAVY, PRO_6000, 97887, 4, "12.0", False, "580.95"),
    )
    assert found.named(HEAVY.upper().replace("GPU", "gpu")) == found.found[1]
    assert found.named(HEAVY[:-1] + "f") is None


def test_what_a_card_does_not_say_is_unknown() -> None:
    (card,) = parse_cards(
        f"0, {FAST}, NVIDIA GB10, [N/A], [N/A], [Unknown Error], [N/A], 580", ""
    ).found

    assert (card.memory_mib, card.used_mib, card.compute_capability) == (None, None, None)
    assert not card.display
    assert "? MiB" in str(card)


@pytest.mark.parametrize("row", ["0, GPU-1", "Something else happened", f"x, {FAST},,,,,,"])
def test_a_row_that_is_none_is_a_problem_and_not_an_absent_card(row: str) -> None:
    found = parse_cards(f"{TWO}{row}\n", TOOL)

    assert not found.known
    assert found.found == ()
    assert row.partition(",")[0] in str(found)


def test_a_warning_beside_the_rows_hides_no_card() -> None:
    assert (
        len(parse_cards(f"{TWO}WARNING: infoROM is corrupted at gpu 0000:01:00.0\n", "").found) == 2
    )


def test_no_driver_a_driver_that_fails_and_no_card_are_three_answers(path: Path) -> None:
    assert read_cards() == Cards()
    assert str(read_cards()).startswith("no nvidia-smi")

    program(path, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    assert not read_cards().known
    assert str(read_cards()) == (
        "nvidia-smi failed: Failed to initialize NVML: Driver/library version mismatch"
    )

    program(path, "echo 'No devices were found'; exit 6")
    assert read_cards() == Cards(tool=str(path / "nvidia-smi"))
    assert str(read_cards()) == "nvidia-smi finds no card"


def test_a_driver_that_fails_without_a_word_still_says_how(path: Path) -> None:
    program(path, "exit 9")

    assert "status 9" in read_cards().problem


def test_nvidia_smi_is_asked_for_just_these_columns(path: Path) -> None:
    program(path, f'[ "$*" = "{hardware.QUERY.partition(" ")[2]}" ] || exit 2\ncat <<END\n{TWO}END')

    assert [each.uuid for each in read_cards().found] == [FAST, HEAVY]


def test_rows_count_where_nvidia_smi_ends_with_a_warning(path: Path) -> None:
    program(path, f"cat <<END\n{TWO}WARNING: infoROM is corrupted at gpu 1\nEND\nexit 14")

    assert len(read_cards().found) == 2


def test_under_wsl2_nvidia_smi_is_found_beside_the_windows_driver(path: Path) -> None:
    program(path.parent / "wsl", f"cat <<END\n{TWO}END")

    assert read_cards().tool == str(path.parent / "wsl" / "nvidia-smi")


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("6.6.87.2-microsoft-standard-WSL2", "wsl2"),
        ("5.15.0-custom-Microsoft", "wsl2"),
        ("6.12.48+deb13-amd64", "linux"),
    ],
)
def test_the_kernel_tells_the_platform(kernel: str, kind: str) -> None:
    assert hardware.platform_of(kernel) == kind


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("2.6.2\n", (2, 6, 2)),
        ("WSL-Version: 2.7.10.0\nKernelversion: 6.6.87.2-1\n", (2, 7, 10, 0)),
        (
            "\ufffd\ufffdW\0S\0L\0 \0v\0e\0r\0s\0i\0o\0n\0:\0 \x002\0.\x007\0.\x001\x000\0\n",
            (2, 7, 10),
        ),
        ("Invalid command line option: --version", None),
    ],
)
def test_wsl_says_its_version_in_either_way(said: str, version: tuple[int, ...] | None) -> None:
    assert wsl_version(said) == version


def test_ram_is_that_of_the_machine_that_docker_runs_on() -> None:
    desktop = {"MemTotal": 67_000_000_000, "OperatingSystem": "Docker Desktop"}

    found = read_host(desktop)
    assert (found.ram_mib, found.docker_desktop) == (63896, True)
    assert hardware.engine_ram_mib({"MemTotal": 0}) is None
    assert hardware.meminfo_mib("MemTotal:       98304000 kB\nMemFree: 1 kB\n") == 96000


def test_without_docker_the_host_is_still_known() -> None:
    found = read_host()

    assert isinstance(found, Host)
    assert found.docker_desktop is None
    assert (found.ram_mib or 0) > 0
    assert found.kernel
