"""What a manifest vouches for, looked at again. Nothing but the volume is needed for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from anvil_ctl.transfer import stream
from anvil_ctl.transfer.inspect import Broken, inspect
from anvil_ctl.transfer.meter import Meter
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.wire import Send
from anvil_ctl.weights.manifest import Kept, Manifest

# Checksums are taken by as many threads: hashing does not hold Python's lock.
_AT_ONCE = 2


def verify(
    root: Path, manifests: Sequence[Manifest], send: Send, stop: threading.Event, *, quick: bool
) -> list[dict[str, Any]]:
    """For each manifest, its broken files with the reason; `quick` takes no checksums."""
    size = 0 if quick else sum(each.size for each in manifests)
    with Meter(send, size, "verify") as meter, ThreadPoolExecutor(_AT_ONCE) as crew:
        found = []
        for each in manifests:
            place = root / each.path
            base = place if place.is_dir() else place.parent
            checks = [
                crew.submit(_file, base / kept.path, kept, meter, stop, quick)
                for kept in each.files
            ]
            broken = {said.path: said for said in (check.result() for check in checks) if said}
            for said in inspect(base, [kept.path for kept in each.files]).broken:
                broken.setdefault(said.path, said)
            found.append(_shown(each, list(broken.values())))
        return found


def _file(
    place: Path, kept: Kept, meter: Meter, stop: threading.Event, quick: bool
) -> Broken | None:
    if stop.is_set():
        raise Problem(Kind.STOPPED, "stopped while it verified")
    try:
        size = place.stat().st_size
        if size != kept.size:
            return Broken(kept.path, f"it has {size} bytes of {kept.size}")
        if quick:
            return None
        meter.at(str(place), 0, kept.size)
        found = stream.sha256(place, meter.counting(str(place), moves=False))
        meter.finished(str(place))
    except FileNotFoundError:
        return Broken(kept.path, "it is not there")
    except OSError as error:
        return Broken(kept.path, f"it cannot be read: {error}")
    if found != kept.sha256:
        return Broken(kept.path, "its bytes have changed: the checksum is another")
    return None


def _shown(manifest: Manifest, broken: list[Broken]) -> dict[str, Any]:
    return {
        "path": manifest.path,
        "source": manifest.source,
        "revision": manifest.revision,
        "size": manifest.size,
        "files": len(manifest.files),
        "broken": [{"path": each.path, "why": each.why} for each in broken],
    }
