"""Manifests as the volume had them when it was last looked at.

Rendering asks no engine, so it reads this file of `$ANVIL_HOME`; losing it loses only estimates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anvil_ctl.history import write_atomically
from anvil_ctl.weights import manifest
from anvil_ctl.weights.facts import Facts
from anvil_ctl.weights.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Remembered:
    """The file at `path`."""

    path: Path

    def manifests(self) -> list[Manifest]:
        """What is in it; nothing where it is not there or cannot be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return [manifest.parse(each) for each in found["manifests"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def facts(self) -> Mapping[str, Facts]:
        """What each model says of itself, by the path that a tier names it by."""
        return {
            f"{each.path}/{below}" if below else each.path: facts
            for each in self.manifests()
            for below, facts in each.models.items()
        }

    def replace(self, found: Iterable[Manifest]) -> None:
        """Remember these and no others."""
        said = {"manifests": [each.as_dict() for each in found]}
        write_atomically(self.path, json.dumps(said) + "\n")

    def add(self, found: Manifest) -> None:
        """Remember this one too, in place of what was at its path."""
        kept = [each for each in self.manifests() if each.path != found.path]
        self.replace([*kept, found])
