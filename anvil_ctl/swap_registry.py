"""What the multiplexer is told of a mode: its registry of models that share a role. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anvil_ctl.capacity import claim
from anvil_ctl.config.model import Config, Mode
from anvil_ctl.config.tier import Tier
from anvil_ctl.engines import Engine
from anvil_ctl.service import LABEL, Service, parking_of
from anvil_ctl.templating import digest


@dataclass(frozen=True, slots=True)
class Swapped:
    """A tier that comes and goes, with the engine that runs it and the service that it is."""

    tier: Tier
    engine: Engine
    service: Service


def registry(config: Config, mode: Mode, swapped: Iterable[Swapped]) -> str:
    """The registry file. `cards` is what may be taken of each role's card, in MiB."""
    rows = [_row(config, each) for each in swapped]
    cards = {
        name: role.memory_mib - role.reserve_mib
        for name, role in config.machine.roles.items()
        if role.memory_mib is not None and any(row["role"] == name for row in rows)
    }
    file = {"version": 1, "mode": mode, "cards": cards, "models": rows}
    return json.dumps(file, indent=1) + "\n"


def _row(config: Config, each: Swapped) -> dict[str, object]:
    tier, file = each.tier, each.engine.file
    park = _park(each)
    return {
        "name": tier.served_name,
        "tier": tier.id,
        "role": tier.role,
        "container": each.service.container,
        "url": f"http://{tier.id}:{file.port}",
        "health_path": file.health_path,
        "models_path": file.models_path,
        "start_timeout_s": tier.longest_start_s,
        "stop_timeout_s": each.service.stop_grace_s,
        "drain_timeout_s": config.router.drain_timeout_s,
        "load_estimate_s": tier.load_estimate_s,
        "config_hash": each.service.labels[f"{LABEL}.config-hash"],
        "memory": _memory(config, each),
        **({"park": park, "fingerprint": _fingerprint(each)} if park else {}),
    }


def _park(each: Swapped) -> Mapping[str, object] | None:
    found = parking_of(each.tier, each.engine)
    if found is None:
        return None
    holds = each.tier.memory.weights_mib or 0 if found.holds == "weights" else 0
    return {
        "name": each.tier.parking,
        "leave": [call.model_dump() for call in found.leave],
        "enter": [call.model_dump() for call in found.enter],
        "asleep": found.asleep.model_dump() if found.asleep else None,
        "starts_asleep": found.starts_asleep,
        "holds_mib": holds,
        "leftover_mib": found.leftover_mib,
    }


def _memory(config: Config, each: Swapped) -> dict[str, int]:
    """What is declared; 0 where it is not."""
    tier, memory = each.tier, each.tier.memory
    role = config.machine.roles[tier.role]
    card = claim(tier, role, each.engine).takes if role.device == "nvidia" else 0
    copies = memory.loader == "copy"
    return {
        "card": card,
        "copied": max(memory.ram_mib or 0, memory.weights_mib or 0 if copies else 0),
        "mapped": 0 if copies else memory.weights_mib or 0,
    }


def _fingerprint(each: Swapped) -> str:
    """What a proof of parking is about: another engine, model or drafting is to be proved anew."""
    tier, file = each.tier, each.engine.file
    drafting = tier.speculative.model_dump() if tier.speculative else None
    said = [file.name, file.version, each.service.image, tier.weights, tier.quantization, drafting]
    return f"{file.name} {file.version} {tier.served_name} {digest(json.dumps(said))[:12]}"
