"""A real installation for tests: own folder, project, ports and volume, driven by the real CLI."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANVIL_CTL = Path(sys.executable).parent / "anvil-ctl"


@dataclass(frozen=True, slots=True)
class Stack:
    """One installation. `project` names its containers, networks and volume.

    `enter` is put before each command, and `extra` into its environment, where the installation
    is on another machine than this one.
    """

    home: Path
    project: str
    port: int
    engine_port: int
    enter: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def volume(self) -> str:
        return f"{self.project}-models"

    @property
    def names(self) -> tuple[str, ...]:
        """The options of `init` that set it apart from every other installation."""
        return (
            *("--project", self.project, "--volume", self.volume),
            *("--port", str(self.port), "--engine-port", str(self.engine_port)),
        )

    def environ(self) -> dict[str, str]:
        return {**os.environ, "ANVIL_HOME": str(self.home), **self.extra}

    def run(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end; the test fails with its output if it ends unlike expected."""
        done = subprocess.run(
            [*self.enter, ANVIL_CTL, *arguments],
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == expect, (
            f"anvil-ctl {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def connection(self) -> Mapping[str, str]:
        """What `connect env` tells clients, read as a shell reads it."""
        script = f'eval "$({ANVIL_CTL} connect env)"; env -0'
        printed = subprocess.run(
            ["bash", "-c", script], env=self.environ(), capture_output=True, text=True, check=True
        ).stdout
        pairs = (each.partition("=") for each in printed.split("\0") if each)
        wanted = ("OPENAI_", "ANTHROPIC_")
        return {name: value for name, _, value in pairs if name.startswith(wanted)}


def docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def containers(project: str, *filters: str) -> list[str]:
    """Names of an installation's containers, stopped ones too."""
    wanted = [part for each in filters for part in ("--filter", each)]
    label = ["--filter", f"label=dev.anvil.project={project}"]
    return docker("ps", "--all", *label, *wanted, "--format", "{{.Names}}").split()


def exists(kind: str, name: str) -> bool:
    """Whether Docker has a network or a volume of that name."""
    return bool(docker(kind, "ls", "--quiet", "--filter", f"name=^{name}$").strip())


def remove(stack: Stack) -> None:
    """All that an installation has in Docker, its weights too."""
    for name in containers(stack.project):
        docker("rm", "--force", name)
    project = stack.project
    for network in (project, f"{project}-guard"):
        if exists("network", network):
            docker("network", "rm", network)
    for volume in (stack.volume, f"{project}-state", f"{project}-swaps"):
        if exists("volume", volume):
            docker("volume", "rm", volume)


def new_stack(folder: Path) -> Stack:
    """An installation that meets no other: not the user's, not another test run's."""
    project = f"anvil-test-{secrets.token_hex(3)}"
    base = free_ports(8)
    return Stack(folder / "home", project, base, base + 4)


def free_ports(count: int) -> int:
    """The first of `count` consecutive ports that are free now.

    They are below those that the kernel gives to outgoing connections: a port of an engine that
    is stopped for a moment would else be taken by anybody's next connection.
    """
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        first = 10_000 + secrets.randbelow(outgoing - count - 10_000)
        if all(_free(first + each) for each in range(count)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
