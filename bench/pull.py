"""What `pull` costs beside `hf download`, by plain HTTP and by Xet: hubs on loopback, one image,
a volume each.

    python -m bench.pull [--gigabytes 2] [--rounds 3]

Each round puts both to the test in turn. Times are seconds of the whole container: start,
transfer, and until the bytes are on disk (`sync`), which `pull` sees to by itself and `hf download`
does not. `pull` hashes what comes; `hf download` does not. Exits 1 where a figure is not reached.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl import images
from anvil_ctl.docker import Docker
from anvil_ctl.paths import PACKAGE, bundle
from anvil_ctl.store.box import Box, run_argv
from anvil_ctl.weights.listing import listing
from tests.unit.transfer.checkpoints import CONFIG

REPO = "bench/model"
SHARDS = 4
HF = "import sys; from huggingface_hub.cli.hf import main; sys.argv[0] = 'hf'; main()"
BY_XET = " by Xet"
# By Xet, `hf download` may hold gigabytes, and `pull` holds less than MOST_MEMORY and hashes.
LEAST_RATIO, LEAST_BY_XET, LEAST_VERIFY, MOST_MEMORY = 1.0, 0.8, 1.0, 200.0


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="bench.pull", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    image = images.catalog(bundle(), PACKAGE)["store"].tag
    if not Docker().has_image(image):
        sys.stderr.write("bench: first: anvil-ctl images build store\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="anvil-bench-pull-") as folder:
        size = checkpoint(Path(folder), options.gigabytes)
        with served(Path(folder)) as plain, served(Path(folder), "xet") as xet:
            ways = {"": plain, BY_XET: xet}
            return judged(measure(image, ways, options.rounds), size)


def checkpoint(folder: Path, gigabytes: float) -> int:
    """Shards of random bytes as a publisher would have them; their bytes in all."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    each = int(gigabytes * 1e9) // SHARDS
    block = secrets.token_bytes(1 << 20)
    for number in range(SHARDS):
        name = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        tensor = {"dtype": "U8", "shape": [each], "data_offsets": [0, each]}
        head = json.dumps({f"layer.{number}": tensor}).encode()
        with (folder / name).open("wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            left = each
            while left:
                part = block[: min(left, len(block))]
                # No two files are one content: the hub's client would fetch only one.
                file.write(number.to_bytes(1, "little") + part[1:])
                left -= len(part)
    return sum(path.stat().st_size for path in folder.iterdir())


@contextmanager
def served(folder: Path, *how: str) -> Iterator[str]:
    """The address of a hub in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hub", REPO, str(folder), *how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as hub:
        assert hub.stdout is not None
        yield hub.stdout.readline().strip()
        assert hub.stdin is not None
        hub.stdin.close()


def measure(image: str, ways: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Seconds and MB of each candidate on each way, a value for each round."""
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        order = (pulled, downloaded) if number % 2 else (downloaded, pulled)
        for (way, url), candidate in itertools.product(ways.items(), order):
            with volume() as where:
                for key, value in candidate(image, url, where):
                    found.setdefault(key + way, []).append(value)
    return found


def pulled(image: str, url: str, where: str) -> Iterator[tuple[str, float]]:
    """`pull`, then `models verify`, in the store's own container."""
    box = Box(image, where, None, {**os.environ, "HF_ENDPOINT": url})
    listed = listing(box.ask("list", {"repo": REPO, "revision": "main"}, lambda _said: None))
    order = {
        "repo": REPO,
        "commit": listed.commit,
        "revision": "main",
        "files": [each.as_dict() for each in listed.files],
    }
    with watched(where) as used:
        began = time.monotonic()
        done = box.ask("pull", order, lambda _said: None)
        os.sync()
        yield "pull", time.monotonic() - began
    yield "pull MB", used.memory
    yield "pull CPU", used.cpu
    assert done["moved"] == sum(each.size for each in listed.files)
    began = time.monotonic()
    with watched(where) as used:
        (seen,) = box.ask("verify", {"paths": [], "quick": False}, lambda _said: None)
        yield "verify", time.monotonic() - began
    yield "verify MB", used.memory
    yield "verify CPU", used.cpu
    assert not seen["broken"]


def downloaded(image: str, url: str, where: str) -> Iterator[tuple[str, float]]:
    """`hf download` into another volume."""
    argv = run_argv(image, where, f"anvil-bench-{secrets.token_hex(4)}", variables=["HF_ENDPOINT"])
    command = ["python3", "-c", HF, "download", REPO, "--cache-dir", "/store/hub"]
    with watched(where) as used:
        began = time.monotonic()
        subprocess.run(
            [*argv[: argv.index(image) + 1], *command],
            env={**os.environ, "HF_ENDPOINT": url},
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        yield "hf alone", time.monotonic() - began
        os.sync()
        yield "hf", time.monotonic() - began
    yield "hf MB", used.memory
    yield "hf CPU", used.cpu


@contextmanager
def volume() -> Iterator[str]:
    """A fresh volume, with what the last one left to write written."""
    name = f"anvil-bench-{secrets.token_hex(4)}"
    said("volume", "create", name)
    os.sync()
    try:
        yield name
    finally:
        said("volume", "rm", name)


@dataclass
class Used:
    """The most MB that a container's first process ever had, and its seconds of processor time."""

    memory: float = 0.0
    cpu: float = 0.0

    def look(self, pid: str) -> bool:
        """Take over what the kernel says now; False where the process has gone."""
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            fields = (
                Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            )
        except OSError:
            return False
        for line in status.splitlines():
            if line.startswith("VmHWM"):
                self.memory = max(self.memory, int(line.split()[1]) / 1000)
        ticks = int(fields[11]) + int(fields[12])
        self.cpu = ticks / os.sysconf("SC_CLK_TCK")
        return True


@contextmanager
def watched(where: str) -> Iterator[Used]:
    """What the container that works on a volume uses, until shortly before its end."""
    found, over = Used(), threading.Event()

    def watch() -> None:
        pid = ""
        while not over.wait(0.05):
            pid = pid or _pid(where)
            if pid and not found.look(pid):
                # Another one may follow: a pull asks for the listing first.
                pid = ""

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def _pid(where: str) -> str:
    name = said("ps", "--quiet", f"--filter=label=dev.anvil.store={where}")
    return said("inspect", "--format={{.State.Pid}}", name) if name else ""


def said(*words: str) -> str:
    """What a docker command prints."""
    argv = ["docker", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def judged(found: dict[str, list[float]], size: int) -> int:
    """Print the medians against what is needed; 1 where one is not reached."""
    rows = [(name, way) for way in ("", BY_XET) for name in ("pull", "hf", "hf alone")]
    for name, way in [*rows, ("verify", "")]:
        seconds = statistics.median(found[name + way])
        sys.stdout.write(f"{name + way:<16} {seconds:6.2f} s  {size / seconds / 1e6:7.0f} MB/s\n")
    for name, way in [*(each for each in rows if each[0] != "hf alone"), ("verify", "")]:
        cpu, most = statistics.median(found[f"{name} CPU{way}"]), max(found[f"{name} MB{way}"])
        sys.stdout.write(f"{name + way:<16} {cpu:6.2f} s of processor, at most {most:.0f} MB\n")
    verify = size / min(found["verify CPU"]) / 1e9
    memory = found["pull MB"] + found[f"pull MB{BY_XET}"] + found["verify MB"]
    needed = [
        ("pull beside hf download", _ratio(found, ""), LEAST_RATIO, True),
        (f"pull beside hf download{BY_XET}", _ratio(found, BY_XET), LEAST_BY_XET, True),
        ("verify, GB in a second of processor", verify, LEAST_VERIFY, True),
        ("memory, MB", max(memory), MOST_MEMORY, False),
    ]
    missed = 0
    for name, value, limit, least in needed:
        kept = value >= limit if least else value <= limit
        missed += not kept
        sign = ">=" if least else "<="
        sys.stdout.write(f"{'ok' if kept else 'no'}  {name}: {value:.2f} ({sign} {limit:g})\n")
    return 1 if missed else 0


def _ratio(found: dict[str, list[float]], way: str) -> float:
    pairs = zip(found[f"hf{way}"], found[f"pull{way}"], strict=True)
    return statistics.median([hf / ours for hf, ours in pairs])


if __name__ == "__main__":
    sys.exit(main())
