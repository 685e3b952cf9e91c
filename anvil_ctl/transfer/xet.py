"""A file by the hub's own storage of deduplicated chunks.

Its library writes out of order and keeps nothing of a transfer that ends early, so such a file is
resumed as a whole. A part that plain HTTP began is therefore always continued by plain HTTP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from huggingface_hub.utils import _xet
from huggingface_hub.utils.tqdm import tqdm


@contextmanager
def bar(count: Callable[[int], None], stall_s: float) -> Iterator[type[tqdm]]:
    """What the library tells its progress to; the transfer is ended after `stall_s` without any."""
    seen, over = [time.monotonic()], threading.Event()

    class Bar(tqdm):
        """Counts, and shows nothing."""

        def update(self, n: float | None = 1) -> None:
            """Bytes that were written."""
            seen[0] = time.monotonic()
            count(int(n or 0))

        def update_transfer(self, _n: float | None = 1) -> None:
            """Bytes that came over the network: signs of life, and fewer than those written."""
            seen[0] = time.monotonic()

    def watch() -> None:
        while not over.wait(1.0):
            if time.monotonic() - seen[0] > stall_s:
                _xet.abort_xet_session()  # type: ignore[no-untyped-call]
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield Bar
    finally:
        over.set()
