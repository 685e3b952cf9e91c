"""What the host says of its memory."""

from __future__ import annotations

import re
from pathlib import Path

_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)


def available_mib(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """RAM that can be had without swapping, in MiB: free, and what the page cache gives back.

    In a container it is the host's. None where the kernel doesn't tell.
    """
    try:
        found = _AVAILABLE.search(meminfo.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    return None if found is None else int(found[1]) // 1024
