"""The engine and the gateways that the bench compares, each started on a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
TOKEN = "bench-token"  # noqa: S105 - for the length of one run, on loopback
GATEWAY_CORE, LOAD_CORE = 0, 1

NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.log error;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 10000000; tcp_nodelay on;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  client_body_buffer_size 2m; client_max_body_size 64m;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 2048; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
"""
ROUTER = """
[server]
auth_env = "BENCH_TOKEN"
max_concurrency = 4096
[router]
mapping_version = "bench"
[router.policy]
verify = "off"
[router.presets]
chat = ["bench-openai"]
translated = ["bench-anthropic"]
"""
TIER = """
[[router.tiers]]
id = "bench-{dialect}"
base_url = "http://127.0.0.1:{engine}"
dialect = "{dialect}"
context_limit = 1000000
privacy = "local"
tool_support = true
auth_env = "BENCH_ENGINE_TOKEN"
model = "bench-model"
"""


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
        command = [sys.executable, "-m", "anvil_ctl.router", "--config", str(file)]
        pid = self._start([*command, "--port", str(router)], GATEWAY_CORE)
        floor = self._start(
            [sys.executable, "-m", "bench.bare", str(bare), str(self._engine)], GATEWAY_CORE
        )
        for port in (nginx, router, bare):
            _await_port(port)
        worker = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        credential = f"authorization: Bearer {TOKEN}\r\n"
        return [
            Candidate("direct", self._engine),
            Candidate("nginx", nginx, pids=[master, *map(int, worker)]),
            Candidate("bare", bare, pids=[floor]),
            Candidate("anvil", router, "chat", credential, [pid]),
            Candidate("translated", router, "translated", credential, [pid]),
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

    def _start(self, command: list[str], core: int) -> int:
        env = {**os.environ, "BENCH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
        with (self._folder / "started.log").open("ab") as log:
            process = subprocess.Popen(
                [*pinned(core), *command],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, cwd=self._folder,
            )  # fmt: skip
        self._started.append(process)
        return process.pid


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
