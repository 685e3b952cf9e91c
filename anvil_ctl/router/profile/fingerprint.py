"""What a tier's answers depend on, and a digest of it: another digest is another tier. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from anvil_ctl.router.config import Tier

SCHEME = "anvil1"

Identity = Mapping[str, object]


def identity(tier: Tier, mode: str, served: str | None = None) -> dict[str, object]:
    """What is known of a tier that its quality may depend on; what is absent is left out.

    `served` is the model that the engine itself names, where that isn't the configured one. Costs,
    limits of concurrency, credentials and time-outs change no answer.
    """
    fields: dict[str, object] = {
        "tier": tier.id,
        "mode": mode,
        "model": tier.model,
        "served": served,
        "engine": tier.engine,
        "quantization": tier.quantization,
        "base_url": tier.base_url,
        "dialect": tier.dialect.value,
        "context_limit": tier.context_limit,
        "max_output_tokens": tier.max_output_tokens,
        "extra_body": tier.extra_body,
        "extra_body_defaults": tier.extra_body_defaults,
        "params": tier.params,
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def digest(fields: Identity) -> str:
    """`anvil1:` and a SHA-256 in hex. The order of keys makes no difference."""
    said = json.dumps([SCHEME, fields], sort_keys=True, separators=(",", ":"), default=dict)
    return f"{SCHEME}:{hashlib.sha256(said.encode()).hexdigest()}"


def is_ours(fingerprint: str | None) -> bool:
    """Whether the digest was made this way, so that it can be compared."""
    return fingerprint is not None and fingerprint.startswith(f"{SCHEME}:")


def differences(before: Identity | None, now: Identity) -> list[str]:
    """What changed, one line each, in the words of the configuration."""
    if before is None:
        return ["what was measured is not on record"]
    return list(_changed(before, now, ""))


def _changed(before: Identity, now: Identity, path: str) -> Iterator[str]:
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        name = f"{path}{key}"
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changed(old, new, f"{name}.")
        elif isinstance(old, list) and isinstance(new, list):
            yield f"{name}: {_list_change(old, new)}"
        else:
            yield f"{name}: {_shown(old)} -> {_shown(new)}"


def _list_change(old: list[object], new: list[object]) -> str:
    """The arguments that went and came: a command line is too long to print twice."""
    gone = [str(each) for each in old if each not in new]
    come = [str(each) for each in new if each not in old]
    if not gone and not come:
        return "the same in another order"
    return f"{' '.join(gone) or '(nothing)'} -> {' '.join(come) or '(nothing)'}"


def _shown(value: object) -> str:
    return "(none)" if value is None else str(value)
