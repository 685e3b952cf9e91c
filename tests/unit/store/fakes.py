"""The store's own program in this process, on a folder instead of a volume."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anvil_ctl.store.box import Tell
from anvil_ctl.store.failures import explained
from anvil_ctl.transfer.problem import Problem
from anvil_ctl.transfer.verbs import VERBS, Place


@dataclass
class FolderStore:
    root: Path
    asked: list[str] = field(default_factory=list)

    def ask(
        self, verb: str, request: Mapping[str, Any], tell: Tell, inbox: Path | None = None
    ) -> Any:
        self.asked.append(verb)
        place = Place(self.root, inbox or self.root / "no-inbox")
        try:
            return VERBS[verb](place, dict(request), tell, threading.Event())
        except Problem as problem:
            raise explained(problem.kind, problem.text, request, token=False) from problem
