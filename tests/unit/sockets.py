"""A look at the sockets of this process."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path


def our_end(wanted: Callable[[socket.socket], bool]) -> socket.socket:
    """Another handle of the first socket in this process that is wanted."""
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if each.is_socket():
                found = socket.socket(fileno=os.dup(int(each.name)))
                with contextlib.suppress(OSError):
                    if wanted(found):
                        return found
                found.close()
    raise AssertionError("no such connection")
