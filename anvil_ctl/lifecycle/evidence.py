"""What a transition proved: a record for each that succeeded, made purely and written once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from anvil_ctl import __version__
from anvil_ctl.config.model import Config
from anvil_ctl.engines import Engine
from anvil_ctl.history import write_atomically
from anvil_ctl.lifecycle.watch import Canary
from anvil_ctl.renderer import ModeFiles


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record is made from. Phases are (act, of, seconds, what came of it)."""

    config: Config
    engines: Mapping[str, Engine]
    files: ModeFiles
    images: Mapping[str, str | None]
    source: Sequence[str]
    plan: str
    control_hash: str
    phases: Sequence[tuple[str, str, float, str]]
    canaries: Sequence[Canary]
    skipped: Sequence[str]


def record(facts: Facts, at: float) -> dict[str, object]:
    """The record, as it is written. `at` is seconds since the epoch."""
    files = facts.files
    return {
        "anvil": __version__,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
        "from": list(facts.source),
        "to": files.mode,
        "plan": facts.plan,
        "seconds": round(sum(phase[2] for phase in facts.phases), 3),
        "rendered": {
            "compose.yaml": _sha256(files.compose),
            "router.toml": _sha256(files.router),
            "registry.json": _sha256(files.registry),
            "control": facts.control_hash,
        },
        "images": dict(facts.images),
        "tiers": list(_tiers(facts)),
        "phases": [
            {"act": act, "of": of, "seconds": round(seconds, 3), "note": note}
            for act, of, seconds, note in facts.phases
        ],
        "presets": [asdict(each) for each in facts.canaries],
        "gates_skipped": list(facts.skipped),
    }


def _tiers(facts: Facts) -> list[dict[str, object]]:
    config, files = facts.config, facts.files
    return [
        {
            "id": tier.id,
            "engine": tier.engine,
            "engine_version": facts.engines[tier.engine].file.version,
            "model": tier.model,
            "revision": tier.revision,
            "served_name": tier.served_name,
            "role": tier.role,
            "gpu_uuid": config.machine.roles[tier.role].gpu_uuid,
            "config_hash": files.config_hashes[tier.id],
            "swap": tier.swap,
        }
        for tier in config.modes[files.mode].enabled
    ]


def write(folder: Path, said: Mapping[str, object]) -> Path:
    """Keep a record under the next number; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    number = sum(1 for _ in folder.glob("*.json")) + 1
    stamp = str(said["at"]).translate({ord(c): None for c in "-:Z"})
    path = folder / f"{number:05}-{stamp}-{said['to']}.json"
    write_atomically(path, json.dumps(said, indent=1) + "\n")
    return path


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
