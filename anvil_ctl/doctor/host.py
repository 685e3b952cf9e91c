"""Is this host fit to run the stack? Decided before anything is changed.

`python3 -m anvil_ctl.doctor.host --setup` is what scripts/setup runs first, with the system's
Python and nothing installed. It prints on stdout what a set-up can mend by itself, a word a line,
and on stderr one line for each thing that it cannot.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from anvil_ctl.doctor.finding import Finding, Status
from anvil_ctl.doctor.host_facts import PORTS, Answer, Disk, Facts, gather
from anvil_ctl.versions import COMPOSE_MINIMUM, parse_version

PYTHON_MINIMUM = (3, 11)
AGAIN = "then again: make up"


class Engine(StrEnum):
    """How the Docker engine stands, as far as this user can tell."""

    READY = "ready"
    NO_COMMAND = "no-command"
    STOPPED = "stopped"
    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"


class Fix(StrEnum):
    """What scripts/setup can do itself about a finding."""

    VENV = "install-venv"
    ENGINE = "install-engine"
    START = "start-engine"
    COMPOSE = "install-compose"


def engine_state(facts: Facts) -> Engine:
    if facts.docker is None:
        return Engine.NO_COMMAND
    if facts.docker.status == 0:
        return Engine.READY
    if "permission denied" in facts.docker.output.lower():
        return Engine.FORBIDDEN
    remote = facts.docker_host and not facts.docker_host.startswith("unix:")
    return Engine.UNREACHABLE if remote else Engine.STOPPED


def check(facts: Facts) -> list[Finding]:
    """All findings, in the order in which one would mend them."""
    return [
        _python(facts),
        _venv(facts),
        _engine(facts),
        *map(_disk, facts.disks),
        *_ports(facts),
        *_index(facts.index),
    ]


def fixes(facts: Facts) -> list[Fix]:
    """What a set-up can mend on this host: packages and the daemon only as root on Debian."""
    found: list[Fix] = []
    mine = facts.debian and facts.root
    state = engine_state(facts)
    if mine and not facts.has_venv:
        found.append(Fix.VENV)
    if mine and state is Engine.NO_COMMAND:
        found.append(Fix.ENGINE)
    if mine and state is Engine.STOPPED and not facts.docker_host:
        found.append(Fix.START)
    if compose_version(facts.compose) < COMPOSE_MINIMUM:
        found.append(Fix.COMPOSE)
    return found


def compose_version(answer: Answer | None) -> tuple[int, ...]:
    """Major and minor version of the Compose plugin; () where there is none."""
    return () if answer is None or answer.status != 0 else parse_version(answer.output)[:2]


def blocking(facts: Facts) -> list[Finding]:
    """The findings that stop a set-up: those that no fix of ours is about to mend."""
    mended = {Fix.VENV: "venv", Fix.ENGINE: "engine", Fix.START: "engine"}
    settled = {mended[fix] for fix in fixes(facts) if fix in mended}
    return [each for each in check(facts) if each.blocks and each.id not in settled]


def _status(right: bool) -> Status:
    return Status.OK if right else Status.FAIL


def _python(facts: Facts) -> Finding:
    version = ".".join(map(str, facts.python))
    return Finding(
        id="python",
        status=_status(facts.python >= PYTHON_MINIMUM),
        observed=f"Python is {version}",
        expected="3.11 or newer",
        remedy="install Python 3.11 or newer, and name it: PYTHON=/path/to/python3 make up",
    )


def _venv(facts: Facts) -> Finding:
    install = "sudo apt-get install python3-venv" if facts.debian else "install Python's ensurepip"
    observed = "has ensurepip" if facts.has_venv else "cannot make virtual environments"
    return Finding(
        id="venv",
        status=_status(facts.has_venv),
        observed=f"Python {observed} (module ensurepip)",
        expected="the module ensurepip",
        remedy=f"{install}, {AGAIN}",
    )


def _engine(facts: Facts) -> Finding:
    state = engine_state(facts)
    where = facts.docker_host or "the default socket"
    said = _last_line(facts.docker)
    install = "sudo apt-get install docker.io" if facts.debian else "install Docker Engine"
    allow = (
        "log in again (you are in the group docker since after this session began)"
        if facts.group_pending
        else 'sudo usermod -aG docker "$USER", log in again'
    )
    texts = {
        Engine.READY: ("the Docker daemon answers", ""),
        Engine.NO_COMMAND: ("there is no docker command on PATH", install),
        Engine.STOPPED: (
            f"the Docker daemon does not run ({where}: {said})",
            "sudo systemctl start docker (or: sudo service docker start)",
        ),
        Engine.FORBIDDEN: (f"this user may not use the Docker daemon's socket ({where})", allow),
        Engine.UNREACHABLE: (
            f"the Docker daemon at DOCKER_HOST={where} does not answer ({said})",
            "check DOCKER_HOST, or unset it for the local daemon",
        ),
    }
    observed, remedy = texts[state]
    return Finding(
        id="engine",
        status=_status(state is Engine.READY),
        observed=observed,
        expected="a Docker Engine that this user may use",
        remedy=remedy and f"{remedy}, {AGAIN}",
    )


def _disk(disk: Disk) -> Finding:
    return Finding(
        id="disk",
        status=_status(disk.free >= disk.needed),
        observed=f"{disk.free / 1e9:.1f} GB free on the disk of {disk.path}",
        expected=f"{disk.needed / 1e9:.1f} GB",
        remedy=f"free {max(disk.needed - disk.free, 0) / 1e9:.1f} GB there "
        f"(docker system df shows what Docker keeps), {AGAIN}",
    )


def _ports(facts: Facts) -> Iterable[Finding]:
    for port in facts.taken_ports:
        ours = port in facts.own_ports
        yield Finding(
            id="port",
            status=_status(ours),
            observed=f"port {port} is held by {'our own stack' if ours else 'another program'}",
            expected="free, or held by our own stack",
            remedy=f"see who holds it and stop that: ss -ltnp 'sport = :{port}', {AGAIN}",
        )


def _index(answer: Answer | None) -> Iterable[Finding]:
    if answer is None:
        return
    certificates = "certificate" in answer.output.lower()
    yield Finding(
        id="index",
        status=_status(answer.status == 0),
        observed=(
            "pip reaches its package index"
            if answer.status == 0
            else f"pip reaches no package index ({_cause(answer)})"
        ),
        expected="an index that pip can fetch from",
        remedy=(
            "name your network's certificates: export PIP_CERT=/path/to/ca.pem"
            if certificates
            else "name an index or a proxy: pip config set global.index-url URL, or HTTPS_PROXY"
        )
        + f", {AGAIN}",
    )


def _cause(answer: Answer) -> str:
    """What pip's own errors come from: their last line only says that nothing was found."""
    found = re.search(r"(\w+Error)\(.*?['\"]([^'\"]{4,160})['\"]", answer.output)
    return f"{found[1]}: {found[2]}" if found else _last_line(answer)[:160]


def _last_line(answer: Answer | None) -> str:
    lines = [line.strip() for line in answer.output.splitlines() if line.strip()] if answer else []
    return lines[-1].removesuffix(".") if lines else "no answer"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m anvil_ctl.doctor.host", description=__doc__)
    parser.add_argument("--setup", action="store_true", help="print what set-up can mend")
    parser.add_argument("--download", action="store_true", help="packages are still to be fetched")
    parser.add_argument("--ports", action="store_true", help="a new site's ports must be free")
    parser.add_argument("--json", action="store_true", help="print all findings as JSON")
    given = parser.parse_args(argv)
    ports = PORTS if given.ports else ()
    facts = gather(Path.cwd(), os.environ, download=given.download, ports=ports)
    wrong = blocking(facts) if given.setup else [each for each in check(facts) if each.blocks]
    for finding in wrong:
        sys.stderr.write(f"{finding}\n")
    if given.json:
        sys.stdout.write(json.dumps([each.as_json() for each in check(facts)], indent=1) + "\n")
    elif given.setup and not wrong:
        sys.stdout.write("".join(f"{fix}\n" for fix in fixes(facts)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
