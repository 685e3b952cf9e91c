"""Small files of the real formats."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping

CONFIG = {
    "architectures": ["TinyForCausalLM"],
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "hidden_size": 64,
    "max_position_embeddings": 4096,
}


def noise(size: int, seed: int) -> bytes:
    """The same bytes each time, of which no two megabytes are alike."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - nothing is kept secret with it


def safetensors(name: str, size: int, seed: int = 0) -> bytes:
    """One tensor of `size` random bytes."""
    header = {name: {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + noise(size, seed)


def gguf(metadata: Mapping[str, object], size: int = 0, seed: int = 0) -> bytes:
    """A header with texts, whole numbers and lists of either, and random bytes after it."""
    body = b"".join(_text(key) + _value(each) for key, each in metadata.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + body + noise(size, seed)


def _value(value: object) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    assert isinstance(value, list)
    kind = 8 if value and isinstance(value[0], str) else 4
    items = b"".join(_text(each) if kind == 8 else struct.pack("<I", each) for each in value)
    return struct.pack("<IIQ", 9, kind, len(value)) + items


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def sharded(size: int = 1 << 20) -> dict[str, bytes]:
    """A checkpoint in two shards of `size` bytes each, with its index and what goes with it."""
    shards = {f"model-0000{n}-of-00002.safetensors": f"layer.{n}" for n in (1, 2)}
    index = {"weight_map": {tensor: shard for shard, tensor in shards.items()}}
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": b"{}" + b" " * 100_000,
        "model.safetensors.index.json": json.dumps(index).encode(),
        **{shard: safetensors(tensor, size, n) for n, (shard, tensor) in enumerate(shards.items())},
    }
