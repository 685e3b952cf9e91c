"""What a snapshot itself says of the memory that it takes, for tiers that do not declare it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from anvil_ctl.weights.facts import Facts

_MIB = 1 << 20
# Bytes of one number in the cache: the quantized ones have a scale for each block of 32.
_KV_BYTES: Mapping[str, Fraction] = {
    "q8_0": Fraction(34, 32),
    "q5_1": Fraction(24, 32),
    "q5_0": Fraction(22, 32),
    "q4_1": Fraction(20, 32),
    "q4_0": Fraction(18, 32),
    "f32": Fraction(4),
}


def weights_mib(facts: Facts | None) -> int | None:
    """MiB that the tensors take; None where that is not known."""
    return ceil(facts.weights_bytes / _MIB) if facts else None


def kv_bytes_per_token(facts: Facts | None, dtype: str | None) -> int | None:
    """Bytes that a token takes in a cache of `dtype`, as engines name it; None for not known."""
    if facts is None or facts.kv_bytes_per_token is None:
        return None
    return ceil(facts.kv_bytes_per_token * _width(dtype or "") / 2)


def _width(dtype: str) -> Fraction:
    name = dtype.lower()
    return Fraction(1) if name.startswith("fp8") else _KV_BYTES.get(name, Fraction(2))
