"""An installation with nothing running, and the hub on loopback that it pulls from."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.stack import ANVIL_CTL, Stack, docker, new_stack
from tests.hub import Hub

BASE = "debian:trixie-slim"


@dataclass(frozen=True)
class Puller:
    stack: Stack
    hub: Hub

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`pull` in a process of its own, once the fault of its hub has struck."""
        running = subprocess.Popen(
            [ANVIL_CTL, "pull", *arguments],
            env=self.stack.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.hub.faults[0].struck.wait(60)
        return running

    def ended(self) -> bool:
        """Whether no container works on the volume and the hub has noticed, looked at for a while:
        one that sends slowly finds out late that nobody listens."""
        until = time.monotonic() + 20
        label = f"--filter=label=dev.anvil.store={self.stack.volume}"
        while docker("ps", "--quiet", label).strip() or self.hub.sending:
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True

    def shell(self, script: str) -> str:
        """What a script prints in a container that sees the volume at /store."""
        mount = f"{self.stack.volume}:/store"
        return docker("run", "--rm", "--volume", mount, BASE, "sh", "-c", script)


@contextmanager
def pulling(folder: Path, hub: Hub, volume_options: Sequence[str] = ()) -> Iterator[Puller]:
    """A new installation whose hub is `hub`, with a volume of Docker's options."""
    stack = replace(new_stack(folder), extra={"HF_ENDPOINT": hub.url, "HF_TOKEN": ""})
    docker("volume", "create", *volume_options, stack.volume)
    try:
        stack.run("init", "--site", "cpu", *stack.names, "--yes")
        stack.run("images", "build", "store")
        yield Puller(stack, hub)
    finally:
        docker("volume", "rm", "--force", stack.volume)
