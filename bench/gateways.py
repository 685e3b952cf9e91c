"""The engine and the gateways that the bench compares, each started on a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from anvil_ctl.cli import console
from anvil_ctl.docker import Docker
from anvil_ctl.history import History
from anvil_ctl.images import build, catalog
from anvil_ctl.paths import bundle
from bench.configs import NGINX, ROUTER, TIER, TOKEN

HERE = Path(__file__).parent
ROOT = HERE.parent
GATEWAY_CORE, LOAD_CORE = 0, 1


class MissingError(Exception):
    """The machine lacks something; the text says how to get it."""


@dataclass
class Candidate:
    """Something to ask. `pids` empty: the engine itself, which nothing is measured of."""

    name: str
    port: int
    model: str = "bench-model"
    headers: str = ""
    pids: list[int] = field(default_factory=list)

    def rss_mib(self) -> float:
        """Resident memory of its processes."""
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids]
        lines = [line for text in statuses for line in text.splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


class Bench:
    """What runs for one run of the bench; `stop` ends all of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self._containers: list[str] = []
        self._image = _router_image()
        for name in ("engine", "load"):
            source, program = HERE / f"{name}.c", folder / name
            subprocess.run([_tool("cc", "gcc"), "-O2", "-o", program, source], check=True)
        self.load = folder / "load"
        self._engine = _free_port()
        self._start([str(folder / "engine"), str(self._engine)], LOAD_CORE)
        _await_port(self._engine)

    def candidates(self) -> list[Candidate]:
        """Straight to the engine, through nginx, and through the router in both ways."""
        nginx, router, bare = _free_port(), _free_port(), _free_port()
        conf = self._folder / "nginx.conf"
        conf.write_text(NGINX.format(dir=self._folder, engine=self._engine, port=nginx))
        master = self._start([_nginx(), "-c", str(conf), "-p", str(self._folder)], GATEWAY_CORE)
        file = self._folder / "router.toml"
        tiers = [TIER.format(dialect=name, engine=self._engine) for name in ("openai", "anthropic")]
        file.write_text(ROUTER + "".join(tiers))
        pid = self._contain(["anvil_ctl.router", "--config=/bench/router.toml", f"--port={router}"])
        floor = self._contain(["bench.bare", str(bare), str(self._engine)])
        for port in (nginx, router, bare):
            _await_port(port)
        worker = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        credential = f"authorization: Bearer {TOKEN}\r\n"
        return [
            Candidate("direct", self._engine),
            Candidate("nginx", nginx, pids=[master, *map(int, worker)]),
            Candidate("bare", bare, pids=floor),
            Candidate("anvil", router, "chat", credential, pid),
            Candidate("translated", router, "translated", credential, pid),
        ]

    def stop(self) -> None:
        """End what was started."""
        for process in self._started:
            process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        for container in self._containers:
            self._docker("rm", "--force", container)

    def _contain(self, module: list[str]) -> list[int]:
        """Run a module in the router's image, as Compose runs it but on the host's network: the
        interpreter and the libraries are those that users get."""
        hardened = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        mounts = [f"--volume={self._folder}:/bench", f"--volume={HERE}:/opt/anvil/bench:ro"]
        place = ["--network=host", f"--cpuset-cpus={GATEWAY_CORE}", "--user=0"]
        command = ["sh", "-c", 'exec python3 -m "$@" 2>>/bench/started.log', "sh", *module]
        container = self._docker(
            "run", "--detach", f"--env=BENCH_TOKEN={TOKEN}", "--tmpfs=/tmp",
            *hardened, *mounts, *place, self._image, *command,
        )  # fmt: skip
        self._containers.append(container)
        return [int(self._docker("inspect", "--format={{.State.Pid}}", container))]

    def _docker(self, *words: str) -> str:
        done = subprocess.run(
            [_tool("docker", "docker.io"), *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MissingError(f"docker {words[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _start(self, command: list[str], core: int) -> int:
        env = {**os.environ, "BENCH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
        with (self._folder / "started.log").open("ab") as log:
            process = subprocess.Popen(
                [*pinned(core), *command],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, cwd=self._folder,
            )  # fmt: skip
        self._started.append(process)
        return process.pid


def _router_image() -> str:
    """The image of the sources as they are now, built if need be."""
    control = catalog(bundle(), ROOT / "anvil_ctl")["control"]
    with console.progress() as report:
        return build(Docker(), control, report, History(ROOT / "build" / "bench-history.json"))


def pinned(core: int) -> list[str]:
    """What to put before a command so that it stays on one core."""
    return [_tool("taskset", "util-linux"), "-c", str(core)]


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


def _nginx() -> str:
    return shutil.which("nginx", path="/usr/sbin") or _tool("nginx", "nginx-light")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert isinstance(port, int)
        return port


def _await_port(port: int) -> None:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise MissingError(f"nothing listens on port {port}; its words are in started.log")
