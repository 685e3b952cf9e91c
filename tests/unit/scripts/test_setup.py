from __future__ import annotations

import subprocess
from pathlib import Path

from anvil_ctl.paths import PACKAGE

ROOT = PACKAGE.parent


def _shell(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-euc", f". {ROOT}/scripts/lib.sh\n{script}"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", **environ},
    )


def test_a_python_that_is_too_old_is_one_line_with_what_to_type(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\ncase $1 in -V) echo Python 3.9.2 ;; *) exit 1 ;; esac\n")
    old.chmod(0o755)
    for tool in ("grep", "id", "printf"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")

    done = _shell("PATH=" + str(tmp_path) + "; find_python")

    assert done.returncode == 1
    assert done.stderr == (
        "Python 3.11 or newer is needed (found: Python 3.9.2). "
        "next: install one and name it: PYTHON=/path/to/python3 make up\n"
    )


def test_a_step_that_fails_shows_its_last_lines_and_the_log(tmp_path: Path) -> None:
    done = _shell('step "install it" 3 sh -c "echo the reason; exit 1"', log=f"{tmp_path}/log")

    assert done.returncode == 1
    assert done.stdout == "install it (about 3 s) ... failed\n"
    assert done.stderr.splitlines()[0] == "the reason"
    assert "next: read" in done.stderr.splitlines()[-1]


def test_a_step_that_works_says_how_long_it_took(tmp_path: Path) -> None:
    done = _shell('step "do it" 3 true', log=f"{tmp_path}/log")

    assert done.stdout == "do it (about 3 s) ... done in 0 s\n"


def test_without_a_terminal_set_up_says_what_it_does_and_goes_on() -> None:
    done = _shell('confirm "No Docker Engine is installed" "install docker.io"; echo on')

    assert done.stdout.splitlines() == [
        "No Docker Engine is installed: I install docker.io (there is no terminal to ask on)",
        "on",
    ]


def test_make_alone_lists_what_it_can_do() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert listed == {
        "help",
        "up",
        "down",
        "check",
        "bench",
        "fuzz",
        "test",
        "docs",
        "lock",
        "clean",
    }
