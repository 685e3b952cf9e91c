"""One repository into the volume: locked, moved, proved, and only then written down."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anvil_ctl.transfer import lock, stream
from anvil_ctl.transfer.alias import shown_as
from anvil_ctl.transfer.explain import Passing
from anvil_ctl.transfer.fetch import Fetcher
from anvil_ctl.transfer.hub import Hub
from anvil_ctl.transfer.inspect import inspect
from anvil_ctl.transfer.layout import RepoFolder, read_manifest, settle, write_manifest
from anvil_ctl.transfer.meter import Meter
from anvil_ctl.transfer.problem import Kind, Problem
from anvil_ctl.transfer.wire import Send
from anvil_ctl.weights.listing import File, Listing, total
from anvil_ctl.weights.manifest import Kept, Manifest, merged

# Enough to fill a line; each holds a few megabytes.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for: `files` of a repository at a commit.

    `revision` is the name that led to the commit. `recheck` takes checksums of what is there too.
    `to` is a second path, under which the first weights file is shown.
    """

    repo: str
    commit: str
    revision: str
    files: tuple[File, ...]
    license: str | None = None
    holder: str = ""
    wait: bool = False
    recheck: bool = False
    to: str = ""
    stall_s: float = 30.0
    pause_s: float = 1.0


def order(found: dict[str, Any]) -> Order:
    """The Order that was sent; TypeError where it is another thing."""
    return Order(**{**found, "files": tuple(File(**each) for each in found["files"])})


def survey(root: Path, hub: Hub, repo: str, revision: str) -> Listing:
    """The hub's listing with what the volume has of each file, and the room that is left."""
    try:
        found = hub.listing(repo, revision)
    except Passing as error:
        raise Problem(Kind.NETWORK, f"the hub cannot be asked about {repo}: {error}") from error
    folder = RepoFolder(root, repo)
    files = tuple(replace(each, have=_have(folder, each)) for each in found.files)
    return replace(found, files=files, free=shutil.disk_usage(root).free)


def _have(folder: RepoFolder, file: File) -> int:
    for place in (folder.blob(file.etag), folder.part(file.etag)):
        if place.exists():
            return min(place.stat().st_size, file.size)
    return 0


@dataclass(frozen=True, slots=True)
class Pull:
    """The work of one order in the volume at `root`; `stop` ends it where it is."""

    root: Path
    hub: Hub
    order: Order
    send: Send
    stop: threading.Event

    def run(self) -> dict[str, Any]:
        """The manifest and the bytes that were moved; Problem where it did not come to that."""
        order = self.order
        holder, stopped = order.holder, self.stop.is_set
        with lock.held(self.root, order.repo, holder, self.send, wait=order.wait, stopped=stopped):
            with Meter(self.send, total(_once(order.files))) as meter:
                sums = self._bring_all(meter)
            return {"manifest": self._write_down(sums).as_dict(), "moved": meter.moved}

    def _bring_all(self, meter: Meter) -> dict[str, str]:
        """The sha256 of each content by its etag."""
        order, folder = self.order, RepoFolder(self.root, self.order.repo)
        fetcher = Fetcher(
            self.hub,
            folder,
            order.commit,
            meter,
            self.send,
            self.stop,
            order.pause_s,
        )
        known = self._known()
        # The largest first: at the end, several small ones share the line.
        files = sorted(_once(order.files), key=lambda each: -each.size)
        with ThreadPoolExecutor(_AT_ONCE) as crew:
            running = {
                each.etag: crew.submit(self._one, fetcher, meter, each, known.get(each.etag))
                for each in files
            }
            self._first_failure(running)
            return {etag: each.result() for etag, each in running.items()}

    def _first_failure(self, running: dict[str, Future[str]]) -> None:
        """Wait for all; where one fails, the others stop where they are, and its reason is told."""
        wait(running.values(), return_when=FIRST_EXCEPTION)
        failed = [each for each in running.values() if each.done() and each.exception()]
        if failed:
            self.stop.set()
            for each in running.values():
                each.cancel()
            raise failed[0].exception() or AssertionError

    def _one(self, fetcher: Fetcher, meter: Meter, file: File, known: str | None) -> str:
        blob = fetcher.folder.blob(file.etag)
        if self.stop.is_set():
            raise Problem(Kind.STOPPED, "stopped")
        if blob.exists() and blob.stat().st_size == file.size:
            if known and not self.order.recheck:
                meter.at(file.path, file.size, file.size)
                meter.finished(file.path)
                return known
            found = self._rechecked(meter, blob, file)
            if found:
                return found
        if blob.exists():
            self.send({"say": "note", "text": f"{file.path} is damaged: it is fetched again"})
            blob.unlink()
        return fetcher.bring(file)

    def _rechecked(self, meter: Meter, blob: Path, file: File) -> str:
        """The checksum of what is there, "" where it is not the right one."""
        meter.at(file.path, 0, file.size)
        found = stream.sha256(blob, meter.counting(file.path, moves=False))
        right = found == file.sha256 if file.sha256 else stream.blob_id(blob) == file.etag
        if not right:
            meter.at(file.path, 0, file.size)
        else:
            meter.finished(file.path)
        return found if right else ""

    def _known(self) -> dict[str, str]:
        """Checksums that an earlier pull has proved, by etag."""
        snapshot = RepoFolder(self.root, self.order.repo).snapshot(self.order.commit)
        found = read_manifest(self.root, snapshot)
        return {each.etag: each.sha256 for each in found.files} if found else {}

    def _write_down(self, sums: dict[str, str]) -> Manifest:
        """Show the files under their paths, look into them, and write the manifest."""
        order, folder = self.order, RepoFolder(self.root, self.order.repo)
        snapshot = folder.snapshot(order.commit)
        for file in order.files:
            folder.link(order.commit, file.path, file.etag)
        source = f"as published, {order.repo}"
        models = inspect(self.root / snapshot, [each.path for each in order.files]).whole(source)
        for etag in sums:
            settle(folder.blob(etag))
        found = Manifest(
            path=snapshot,
            source=order.repo,
            revision=order.commit,
            files=tuple(
                Kept(each.path, each.size, sums[each.etag], each.etag) for each in order.files
            ),
            models=models,
            license=order.license,
            pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if order.revision != order.commit:
            folder.refer(order.revision, order.commit)
        whole = merged(read_manifest(self.root, snapshot), found)
        write_manifest(self.root, whole)
        return shown_as(self.root, found, order.to) if order.to else whole


def _once(files: Sequence[File]) -> list[File]:
    """One file of each content."""
    return list({each.etag: each for each in files}.values())
