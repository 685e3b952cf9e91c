"""What this machine has: its NVIDIA cards as nvidia-smi lists them, and the host around them.

Why nvidia-smi and not NVML: docs/explanation/hardware.md. What a card is for is decided elsewhere.
"""

from __future__ import annotations

import csv
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl import proc
from anvil_ctl.config.model import Platform

# Under WSL2 it comes with the Windows driver, in a folder that root's PATH does not have.
_WSL_TOOL = Path("/usr/lib/wsl/lib/nvidia-smi")
_COLUMNS = (
    *("index", "uuid", "name", "memory.total", "memory.used"),
    *("compute_cap", "display_active", "driver_version"),
)
QUERY = f"nvidia-smi --query-gpu={','.join(_COLUMNS)} --format=csv,noheader,nounits"
_NO_CARDS = "no devices were found"
# The rows are all there, and one of the cards has a broken info ROM.
_ROWS_AND_A_WARNING = 14


@dataclass(frozen=True, slots=True)
class Card:
    """One NVIDIA card. None stands for what the driver does not say of it."""

    index: int
    uuid: str
    name: str
    # MiB of the whole card, and what is in use by anyone now.
    memory_mib: int | None
    used_mib: int | None
    compute_capability: str | None
    display: bool
    driver: str

    def __str__(self) -> str:
        memory = "? MiB" if self.memory_mib is None else f"{self.memory_mib} MiB"
        return f"{self.name}, {memory}{', with a display' if self.display else ''} ({self.uuid})"


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards, or why none are known. Three answers, never mixed up:

    no `tool`: this machine has no NVIDIA driver; a `problem`: nvidia-smi failed, in its own words,
    and which cards there are is unknown; neither: `found` is all there are, which may be none.
    """

    found: tuple[Card, ...] = ()
    tool: str | None = None
    problem: str = ""

    @property
    def known(self) -> bool:
        """Whether `found` is the whole truth; a driver that fails hides cards that are there."""
        return not self.problem

    def named(self, uuid: str) -> Card | None:
        """The card with this UUID, in whatever case."""
        return next((each for each in self.found if each.uuid.lower() == uuid.lower()), None)

    def __str__(self) -> str:
        if self.tool is None:
            return "no nvidia-smi: this machine has no NVIDIA driver"
        if self.problem:
            return f"nvidia-smi failed: {self.problem}"
        return "; ".join(map(str, self.found)) or "nvidia-smi finds no card"


@dataclass(frozen=True, slots=True)
class Host:
    """The machine around the cards. None stands for what could not be found out."""

    platform: Platform
    kernel: str
    wsl_version: tuple[int, ...] | None = None
    docker_desktop: bool | None = None
    # MiB that engines can have: of the machine that Docker runs on, under WSL2 its virtual machine.
    ram_mib: int | None = None

    def __str__(self) -> str:
        wsl = f" {'.'.join(map(str, self.wsl_version))}" if self.wsl_version else ""
        desktop = ", Docker Desktop" if self.docker_desktop else ""
        memory = "?" if self.ram_mib is None else self.ram_mib
        return f"{self.platform}{wsl}, kernel {self.kernel}{desktop}, {memory} MiB of RAM"


def read_cards() -> Cards:
    """Ask nvidia-smi for the cards. Never raises: that it fails is an answer too."""
    tool = find_tool()
    if tool is None:
        return Cards()
    try:
        said = proc.run([tool, *QUERY.split()[1:]], timeout_s=20)
    except proc.ProcessError as error:
        if _NO_CARDS in error.output.lower():
            return Cards(tool=tool)
        if error.status != _ROWS_AND_A_WARNING:
            return Cards(tool=tool, problem=_words(error.output) or str(error))
        said = error.output
    return parse_cards(said, tool)


def parse_cards(said: str, tool: str) -> Cards:
    """What `QUERY` printed as cards, by their index; a row of another shape is a problem."""
    if _NO_CARDS in said.lower():
        return Cards(tool=tool)
    found: list[Card] = []
    for row in csv.reader(said.splitlines(), skipinitialspace=True):
        if not row or row[0].startswith("WARNING:"):
            continue
        card = _card([each.strip() for each in row])
        if card is None:
            return Cards(tool=tool, problem=f"{', '.join(row)!r} is no row of {QUERY}")
        found.append(card)
    return Cards(tuple(sorted(found, key=lambda each: each.index)), tool)


def find_tool() -> str | None:
    """The path of nvidia-smi; None where there is none, and so no NVIDIA driver."""
    found = shutil.which("nvidia-smi")
    return found or (str(_WSL_TOOL) if _WSL_TOOL.is_file() else None)


def read_host(docker_info: Mapping[str, object] | None = None) -> Host:
    """Look at this host; `docker_info` is what `docker info` says, where a daemon answers."""
    kernel = platform.release()
    kind = platform_of(kernel)
    return Host(
        platform=kind,
        kernel=kernel,
        wsl_version=_read_wsl_version() if kind == "wsl2" else None,
        docker_desktop=is_docker_desktop(docker_info) if docker_info is not None else None,
        ram_mib=engine_ram_mib(docker_info or {}) or _own_ram_mib(),
    )


def platform_of(kernel: str) -> Platform:
    """`wsl2` where the kernel's release names Microsoft, else `linux`."""
    return "wsl2" if "microsoft" in kernel.lower() else "linux"


def is_docker_desktop(docker_info: Mapping[str, object]) -> bool:
    return "docker desktop" in str(docker_info.get("OperatingSystem")).lower()


def engine_ram_mib(docker_info: Mapping[str, object]) -> int | None:
    """MiB of the machine that Docker runs on; None where it does not say (it says 0)."""
    total = docker_info.get("MemTotal")
    return total >> 20 if isinstance(total, int) and total > 0 else None


def meminfo_mib(text: str) -> int | None:
    """MemTotal of a /proc/meminfo, in MiB."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) >> 10 if found else None


def wsl_version(said: str) -> tuple[int, ...] | None:
    """The version that comes first in what wslinfo or `wsl.exe --version` prints.

    The latter writes UTF-16, of which the decoder of UTF-8 leaves each other byte a NUL, and its
    words are in the user's language.
    """
    found = re.search(r"\d+(?:\.\d+){2,3}", said.replace("\0", ""))
    return tuple(map(int, found[0].split("."))) if found else None


def _card(row: list[str]) -> Card | None:
    if len(row) != len(_COLUMNS) or not row[0].isdigit() or not row[1].startswith("GPU-"):
        return None
    index, uuid, name, memory, used, capability, display, driver = row
    return Card(
        index=int(index),
        uuid=uuid,
        name=name,
        memory_mib=_number(memory),
        used_mib=_number(used),
        compute_capability=capability if re.fullmatch(r"\d{1,2}\.\d", capability) else None,
        display=display.lower() == "enabled",
        driver=driver,
    )


def _number(text: str) -> int | None:
    """A count of MiB; None for the `[N/A]` of a card that does not say."""
    return int(text) if text.isdigit() else None


def _words(output: str) -> str:
    """What a program said, on one line."""
    return " ".join(output.split())


def _read_wsl_version() -> tuple[int, ...] | None:
    """From inside (WSL 2.2.3 or newer), else from Windows; None where neither answers."""
    for command in (["wslinfo", "--wsl-version"], ["wsl.exe", "--version"]):
        try:
            found = wsl_version(proc.run(command, timeout_s=10))
        except proc.ProcessError:
            continue
        if found:
            return found
    return None


def _own_ram_mib() -> int | None:
    try:
        return meminfo_mib(Path("/proc/meminfo").read_text(encoding="ascii"))
    except OSError:
        return None
