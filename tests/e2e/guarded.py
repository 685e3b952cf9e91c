"""A guard in front of the real daemon, with containers that it lists and others."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl import images
from anvil_ctl.docker import Docker
from anvil_ctl.events import silent
from anvil_ctl.history import History
from anvil_ctl.paths import PACKAGE, bundle
from anvil_ctl.proc import ProcessError, run

DOCKER_SOCKET = Path("/var/run/docker.sock")
BASE = "debian:trixie-slim"


@dataclass(frozen=True)
class Answer:
    status: int
    body: str


@dataclass(frozen=True)
class Bench:
    """A guard for project `project`, one container it lists, and containers it must not touch.

    `sibling` carries the project's own label but is not on the list; `stranger` is another
    project's.
    """

    port: int
    guard: str
    project: str
    listed: str
    sibling: str
    stranger: str
    stranger_id: str
    listed_id: str

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, method: str, target: str, *headers: str, body: str = "") -> Answer:
        """Send one request byte for byte, with no client library to tidy the path."""
        lines = [f"{method} {target} HTTP/1.1", "Host: guard", "Connection: close"]
        if any(line.lower().startswith("connection:") for line in headers):
            lines.pop()
        if body and not any("chunked" in line for line in headers):
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += headers
        with self.connect() as wire:
            wire.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            return read_answer(wire)


def read_answer(wire: socket.socket) -> Answer:
    data = b""
    while chunk := wire.recv(65536):
        data += chunk
        head, end, rest = data.partition(b"\r\n\r\n")
        # A refused upgrade keeps its connection open; its length says where it ends.
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            None,
        )
        if end and length is not None and len(rest) >= length:
            break
    head, _, rest = data.partition(b"\r\n\r\n")
    body = rest
    if b"transfer-encoding: chunked" in head.lower():
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return Answer(int(head.split(b" ")[1]), body.decode())


def docker(*argv: str) -> str:
    return run(["docker", *argv]).strip()


def state(container: str) -> str:
    return docker("inspect", "--format", "{{.State.Status}}", container)


def sleeper(name: str, project: str) -> str:
    label = f"dev.anvil.project={project}"
    return docker("run", "-d", "--init", "--name", name, "--label", label, BASE, "sleep", "900")


@contextmanager
def standing(folder: Path) -> Iterator[Bench]:
    """A bench that is gone afterwards; what it needs of files lies in `folder`."""
    mark = uuid.uuid4().hex[:8]
    project = f"guardtest-{mark}"
    names = {role: f"{project}-{role}" for role in ("listed", "sibling", "stranger", "guard")}
    names_file = folder / "containers.lst"
    names_file.write_text(f"{names['listed']}\n{names['listed'][:-3]}\ndeadbeef\n")
    names_file.chmod(0o644)
    # Our own build, because it makes the base too where no registry gives it.
    guard = images.catalog(bundle(), PACKAGE)["guard"]
    image = images.build(Docker(), guard, silent, History(folder / "durations.json"))
    try:
        listed_id = sleeper(names["listed"], project)
        sleeper(names["sibling"], project)
        stranger_id = sleeper(names["stranger"], f"other-{mark}")
        # fmt: off
        docker(
            "run", "-d", "--name", names["guard"], "--read-only", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "--user", "65532:65532",
            "--group-add", str(DOCKER_SOCKET.stat().st_gid), "--tmpfs", "/tmp", "--tmpfs", "/run",
            "-v", f"{DOCKER_SOCKET}:{DOCKER_SOCKET}", "-e", f"ANVIL_PROJECT={project}",
            "-v", f"{names_file}:/etc/anvil/guard/containers.lst:ro",
            "-p", "127.0.0.1::2375", image,
        )
        # fmt: on
        port = int(docker("port", names["guard"], "2375/tcp").rpartition(":")[2])
        # Blocks until the image's own health check passes once, so the guard listens by then.
        docker(
            "exec", names["guard"], "bash", "-c",
            "for i in {1..100}; do healthcheck 2>/dev/null && exit; sleep 0.1; done; exit 1",
        )  # fmt: skip
        yield Bench(
            port,
            names["guard"],
            project,
            names["listed"],
            names["sibling"],
            names["stranger"],
            stranger_id,
            listed_id,
        )
    finally:
        for name in names.values():
            try:
                docker("rm", "-f", name)
            except ProcessError:
                continue
