"""A hold that was written down: whoever starts again in the middle of it holds from its start."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import msgspec

from anvil_ctl.serving.hold import Hold

log = logging.getLogger(__name__)


class _Kept(msgspec.Struct):
    reason: str
    until: float
    expected_s: float | None = None


def resume(hold: Hold, path: Path) -> None:
    """Hold if the file says so, for as long as it says. Without a file, or a readable one: not."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s cannot be read, so nothing is held: %s", path, error)
        return
    left = kept.until - time.time()
    if left > 0:
        hold.hold(kept.reason, left, kept.expected_s)
