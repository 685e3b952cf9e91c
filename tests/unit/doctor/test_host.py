from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from anvil_ctl.doctor.host import Engine, Fix, blocking, check, compose_version, engine_state, fixes
from anvil_ctl.doctor.host_facts import Answer, Disk, Facts
from anvil_ctl.paths import PACKAGE

READY = Answer(0, "28.2.2|/var/lib/docker\n")
STOPPED = Answer(1, "|\nCannot connect to the Docker daemon at unix:///x. Is it running?\n")
FORBIDDEN = Answer(1, "|\npermission denied while trying to connect to the Docker daemon socket\n")

FIT = Facts(
    python=(3, 11, 2),
    has_venv=True,
    debian=True,
    root=False,
    docker=READY,
    compose=Answer(0, "v2.39.1-desktop.1\n"),
    disks=(Disk("/", 1, 10 << 30, 3 << 30),),
    index=Answer(0, ""),
)


def _lines(facts: Facts) -> list[str]:
    return [str(each) for each in blocking(facts)]


def test_a_fit_host_has_nothing_to_mend_and_nothing_wrong() -> None:
    assert _lines(FIT) == []
    assert fixes(FIT) == []
    assert all(each.ok for each in check(FIT))


@pytest.mark.parametrize(
    ("facts", "said", "next_step"),
    [
        (replace(FIT, python=(3, 9, 2)), "Python is 3.9.2", "PYTHON=/path/to/python3 make up"),
        (replace(FIT, has_venv=False), "cannot make virtual env", "apt-get install python3-venv"),
        (replace(FIT, docker=None), "no docker command on PATH", "apt-get install docker.io"),
        (replace(FIT, docker=STOPPED), "daemon does not run", "systemctl start docker"),
        (replace(FIT, docker=FORBIDDEN), "may not use the Docker daemon's", "usermod -aG docker"),
        (
            replace(FIT, docker=FORBIDDEN, group_pending=True),
            "may not use the Docker daemon's",
            "log in again (you are in the group",
        ),
        (
            replace(FIT, docker=STOPPED, docker_host="tcp://far:2375"),
            "DOCKER_HOST=tcp://far:2375 does not answer",
            "check DOCKER_HOST",
        ),
        (
            replace(FIT, disks=(Disk("/var", 1, 1_000_000_000, 3_000_000_000),)),
            "1.0 GB free on the disk of /var",
            "free 2.0 GB there",
        ),
        (replace(FIT, taken_ports=(8000,)), "port 8000 is held by another", "'sport = :8000'"),
        (
            replace(
                FIT, index=Answer(1, "WARNING: x ProxyError('Cannot connect to proxy.')\nERROR")
            ),
            "ProxyError: Cannot connect to proxy.",
            "pip config set global.index-url",
        ),
        (
            replace(FIT, index=Answer(1, "SSLError(1, '[SSL] certificate verify failed')\n")),
            "certificate verify failed",
            "export PIP_CERT=",
        ),
    ],
)
def test_each_missing_thing_is_one_line_with_its_value_and_what_to_type(
    facts: Facts, said: str, next_step: str
) -> None:
    (line,) = _lines(facts)

    problem, _, remedy = line.partition(". next: ")
    assert said in problem
    assert next_step in remedy
    assert "make up" in remedy
    assert "\n" not in line


def test_several_problems_are_said_at_once() -> None:
    assert len(_lines(replace(FIT, docker=None, has_venv=False, taken_ports=(8000, 8001)))) == 4


def test_a_port_that_our_own_stack_holds_is_no_problem() -> None:
    facts = replace(FIT, taken_ports=(8000,), own_ports=frozenset({8000}))

    assert _lines(facts) == []
    assert "our own stack" in str(next(each for each in check(facts) if each.id == "port"))


@pytest.mark.parametrize(
    ("answer", "host", "state"),
    [
        (None, "", Engine.NO_COMMAND),
        (READY, "", Engine.READY),
        (STOPPED, "", Engine.STOPPED),
        (STOPPED, "unix:///run/user/1/docker.sock", Engine.STOPPED),
        (STOPPED, "ssh://far", Engine.UNREACHABLE),
        (FORBIDDEN, "", Engine.FORBIDDEN),
        (Answer(124, "no end after 15 s"), "", Engine.STOPPED),
    ],
)
def test_the_ways_in_which_an_engine_fails_are_told_apart(
    answer: Answer | None, host: str, state: Engine
) -> None:
    assert engine_state(replace(FIT, docker=answer, docker_host=host)) is state


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(FIT, root=True, docker=None), [Fix.ENGINE]),
        (replace(FIT, root=True, docker=STOPPED), [Fix.START]),
        (replace(FIT, root=True, has_venv=False), [Fix.VENV]),
        (replace(FIT, root=True, docker=STOPPED, docker_host="unix:///own.sock"), []),
        (replace(FIT, root=True, docker=FORBIDDEN), []),
        (replace(FIT, root=True, debian=False, docker=None), []),
        (replace(FIT, root=False, docker=None), []),
        (replace(FIT, compose=None), [Fix.COMPOSE]),
        (replace(FIT, compose=Answer(0, "2.19.1")), [Fix.COMPOSE]),
    ],
)
def test_set_up_mends_packages_and_the_daemon_only_as_root_on_debian(
    facts: Facts, expected: list[Fix]
) -> None:
    assert fixes(facts) == expected


def test_what_set_up_mends_itself_does_not_stop_it_but_all_else_does() -> None:
    facts = replace(FIT, root=True, docker=None, has_venv=False, compose=None)

    assert _lines(facts) == []
    assert len(_lines(replace(facts, taken_ports=(8000,)))) == 1


@pytest.mark.parametrize(
    ("text", "version"),
    [("v2.39.1", (2, 39)), ("2.20.0-desktop.1\n", (2, 20)), ("", ()), ("dev", ())],
)
def test_versions_of_compose_are_read(text: str, version: tuple[int, ...]) -> None:
    assert compose_version(Answer(0, text)) == version
    assert compose_version(Answer(1, text)) == ()


def test_the_check_runs_before_anything_is_installed() -> None:
    isolated = [sys.executable, "-S", "-B", "-m", "anvil_ctl.doctor.host", "--json"]
    done = subprocess.run(
        isolated,
        cwd=PACKAGE.parent,
        env={"PATH": "/nowhere", "HOME": "/nonexistent", "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("there is no docker command on PATH. next: ")
    assert {each["id"] for each in json.loads(done.stdout)} >= {"python", "venv", "engine", "disk"}


def test_nothing_outside_the_standard_library_is_imported() -> None:
    for name in ("host_facts.py", "finding.py", "host.py", "__init__.py"):
        text = (Path(PACKAGE) / "doctor" / name).read_text()
        imported = {
            line.split()[1].split(".")[0]
            for line in text.splitlines()
            if line.startswith(("import ", "from "))
        }
        assert imported <= {*sys.stdlib_module_names, "anvil_ctl"}
