"""A volume, and a hub on loopback that it pulls from by the hub's own client."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anvil_ctl.transfer.hub import Hub as Client
from anvil_ctl.transfer.layout import RepoFolder
from anvil_ctl.transfer.pull import Order, Pull, survey
from anvil_ctl.weights.choice import Wish, choose
from tests.hub import Hub

REPO = "org/tiny"


@dataclass
class Setting:
    """A hub, a volume, and what was said. `stall_s` without a byte ends an attempt."""

    hub: Hub
    root: Path
    said: list[Mapping[str, Any]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    stall_s: float = 0.4

    def pull(self, *, token: str | None = None, repo: str = REPO, **more: Any) -> dict[str, Any]:
        self.stop.clear()
        client = Client(token, self.stall_s)
        found = survey(self.root, client, repo, "main")
        files = choose(found.files, Wish()).files
        known: dict[str, Any] = {"holder": "this test", "pause_s": 0.01, **more}
        order = Order(repo, found.commit, "main", files, found.license, **known)
        return Pull(self.root, client, order, self.said.append, self.stop).run()

    def stop_once_slow(self) -> None:
        self.hub.faults[0].struck.wait(10)
        self.stop.set()

    @property
    def notes(self) -> str:
        return "\n".join(each["text"] for each in self.said if each["say"] == "note")

    def content(self, path: str) -> bytes:
        snapshot = RepoFolder(self.root, REPO).snapshot(self.hub.repositories[REPO].commit)
        return (self.root / snapshot / path).read_bytes()

    def whole(self) -> bool:
        files = self.hub.repositories[REPO].files
        return all(self.content(path) == source for path, source in files.items())
