"""How many sockets this process may have open: without room for one, `accept` fails in a loop."""

from __future__ import annotations

import contextlib
import resource

# A request takes its client's socket, an engine's, and a lease's.
_EACH = 3
_OWN = 64
_ENOUGH = 1 << 17


def raise_limit() -> None:
    """Use what the system grants: shells and service managers start programs with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections(most: int) -> int:
    """How many clients' connections there is room for, at most `most`."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, (soft - _OWN) // _EACH))
