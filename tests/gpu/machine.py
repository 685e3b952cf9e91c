"""A machine with GPUs that it does not have: a Docker engine of its own, in namespaces of its own.

The engine finds an `nvidia-container-runtime-hook` on its PATH, and so honours reservations of
NVIDIA devices as on a real machine. Its network, mounts and processes are in namespaces of their
own: it shares no bridge, port or firewall rule with the machine's own engine, has no way out to a
registry, and ends with its last byte when this process does, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl.hardware import Card

_START_S = 30
_STOP_S = 30

# Like NVIDIA's, it is told of each container before its process starts, and refuses a card that
# is not there. Unlike NVIDIA's it puts no device into the container.
_HOOK = """#!/bin/sh
bundle=$(sed -n 's/.*"bundle":"\\([^"]*\\)".*/\\1/p')
for wanted in $(grep -o 'NVIDIA_VISIBLE_DEVICES=[^"]*' "$bundle/config.json" | cut -d= -f2 | tr , ' ')
do
    case " {uuids} " in
        *" $wanted "*) ;;
        *) echo "nvidia-container-cli: device error: $wanted: unknown device" >&2; exit 1 ;;
    esac
done
"""

# Like NVIDIA's, it answers a query for the fields it is asked for, in their order.
_SMI = """#!{python} -I
import json, pathlib, sys
cards, asked = json.loads({cards!r}), dict(each.partition("=")[::2] for each in sys.argv[1:])
held = pathlib.Path({held!r})
if held.exists():
    said = json.loads(held.read_text())
    cards = [{{**card, "memory.used": said.get(card["uuid"], card["memory.used"])}} for card in cards]
if asked.get("--format") != "csv,noheader,nounits" or "--query-gpu" not in asked:
    sys.exit("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.")
for card in cards:
    for field in (fields := asked["--query-gpu"].split(",")):
        if field not in card:
            print(f'Field "{{field}}" is not a valid field to query.')
            sys.exit(2)
    print(", ".join(card[field] for field in fields))
"""

# What cards are said to have in use, where that is not what they are made with.
_HELD = "held.json"
# Like systemd, it starts an engine again that has ended, until it is told to end itself.
_AGAIN = """
ip link set lo up
trap 'kill -TERM $engine; wait $engine; exit' TERM
while :; do dockerd "$@" & engine=$!; wait $engine; done
"""

# Where this process may not raise limits, its engine may not either, and a container that asks for
# more than there is would not start. There, and only there, it is given what there is.
_RUNC = """#!/bin/sh
case " $* " in *" create "* | *" exec "*) {python} -I -S {limits} "$@" ;; esac
exec {runc} "$@"
"""
_LIMITS = """import json, pathlib, resource, sys
given = dict(zip(sys.argv, sys.argv[1:]))
bundle = "--bundle" in given
path = pathlib.Path(given["--bundle"], "config.json") if bundle else pathlib.Path(given["--process"])
config = json.loads(path.read_text())
process = config["process"] if bundle else config
for limit in process.get("rlimits") or []:
    most = resource.getrlimit(getattr(resource, limit["type"]))[1]
    limit.update((key, min(limit[key], most)) for key in ("soft", "hard") if most >= 0)
path.write_text(json.dumps(config))
"""
_CAP_SYS_RESOURCE = 1 << 24


class MachineError(Exception):
    """The simulated machine could not be started; the text says why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running one. `pid` is in its namespaces; `folder` has its engine's socket, its programs."""

    pid: int
    folder: Path

    @property
    def environ(self) -> Mapping[str, str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {"DOCKER_HOST": f"unix://{self.folder / 'socket'}", "PATH": path}

    @property
    def enter(self) -> tuple[str, ...]:
        """What a command is prefixed with to have this machine's network as its own."""
        return ("nsenter", "--target", str(self.pid), "--net", "--")

    def docker(self, *arguments: str) -> str:
        """What a docker command printed; AssertionError with it all if it failed."""
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **self.environ, "DOCKER_BUILDKIT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(
                f"docker {' '.join(arguments)}: {done.returncode}\n"
                f"{done.stdout.decode()}{done.stderr.decode()}"
            )
        return done.stdout.decode()

    def restart(self) -> None:
        """End this machine's engine, which is started again, and return before it is."""
        (shell,) = _children(self.pid)
        for child in _children(shell):
            # Containers' own first processes hang there too.
            if Path(f"/proc/{child}/comm").read_text(encoding="utf-8") == "dockerd\n":
                os.kill(child, signal.SIGTERM)

    @contextlib.contextmanager
    def holding(self) -> Iterator[Callable[[str, int], None]]:
        """Has a card, by its UUID, say that so many MiB of it are in use, for as long as it runs."""
        file, used = self.folder / _HELD, dict[str, str]()

        def hold(uuid: str, mib: int) -> None:
            used[uuid] = str(mib)
            # In one step: it may be read at any moment.
            file.with_suffix(".new").write_text(json.dumps(used), encoding="utf-8")
            file.with_suffix(".new").rename(file)

        try:
            yield hold
        finally:
            file.unlink(missing_ok=True)

    def load(self, tags: Sequence[str]) -> None:
        """Bring images over from the machine's own engine."""
        with subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "load", "--quiet"],
                env={**os.environ, **self.environ},
                stdin=save.stdout,
                capture_output=True,
                timeout=300,
                check=True,
            )
        assert save.returncode == 0, f"docker save {' '.join(tags)}: {save.returncode}"


@contextlib.contextmanager
def machine(cards: Sequence[Card]) -> Iterator[Machine]:
    """A machine with these cards, for as long as the block runs; MachineError where it cannot be."""
    if os.geteuid() != 0:
        raise MachineError("a second Docker engine needs root")
    # A socket's path may have 107 bytes: pytest's folders are too deep for it.
    folder = Path(tempfile.mkdtemp(prefix="anvil-gpu-"))
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                _command(folder, cards),
                env={**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            found = _started(process, folder)
            yield found
            # At once: the engine itself would wait for each container's own time to stop.
            if left := found.docker("ps", "--all", "--quiet").split():
                found.docker("rm", "--force", *left)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)


def _command(folder: Path, cards: Sequence[Card]) -> list[str]:
    (folder / "bin").mkdir()
    hook = _HOOK.replace("{uuids}", " ".join(each.uuid for each in cards))
    _write_program(folder / "bin" / "nvidia-container-runtime-hook", hook)
    said = json.dumps([_fields(each) for each in cards])
    smi = _SMI.format(python=sys.executable, cards=said, held=str(folder / _HELD))
    _write_program(folder / "bin" / "nvidia-smi", smi)
    if not _may_raise_limits():
        limits, runc = folder / "limits.py", shutil.which("runc")
        limits.write_text(_LIMITS, encoding="utf-8")
        wrapper = _RUNC.format(python=sys.executable, limits=limits, runc=runc)
        _write_program(folder / "bin" / "runc", wrapper)
    # Else it would read the configuration of the machine's own engine.
    (folder / "daemon.json").write_text("{}", encoding="utf-8")
    engine = {
        "config-file": folder / "daemon.json",
        "data-root": folder / "data",
        "exec-root": folder / "exec",
        "pidfile": folder / "pid",
        "host": f"unix://{folder / 'socket'}",
    }
    options = [f"--{name}={value}" for name, value in engine.items()]
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-c", _AGAIN, "dockerd", *options),
    ]


def _fields(card: Card) -> Mapping[str, str]:
    """A card as nvidia-smi names and prints what it has."""
    return {
        "index": str(card.index),
        "uuid": card.uuid,
        "name": card.name,
        "memory.total": str(card.memory_mib),
        "memory.used": str(card.used_mib),
        "compute_cap": str(card.compute_capability),
        "display_active": "Enabled" if card.display else "Disabled",
        "driver_version": card.driver,
    }


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(held.split()[1], 16) & _CAP_SYS_RESOURCE)


def _started(process: subprocess.Popen[bytes], folder: Path) -> Machine:
    found = Machine(process.pid, folder)
    deadline = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(AssertionError):
            found.docker("version")
            return found
        if process.poll() is not None or time.monotonic() > deadline:
            last = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise MachineError(f"a second Docker engine does not start:\n{last}")
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in found.split()]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the engine, and with it its containers; what it leaves ends with its namespaces."""
    with contextlib.suppress(OSError):
        for child in _children(process.pid):
            os.kill(child, signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
