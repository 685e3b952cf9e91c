"""What a checkpoint says of itself: architecture, quantization, sizes, and one token's KV cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What the KV cache of a checkpoint is kept in, unless a tier says otherwise.
_KV_BYTES = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """One loadable model. Sizes are bytes; what the files do not say is None or "".

    `kv_bytes_per_token` is at two bytes a number: layers that see all tokens, times heads, times
    their width, keys and values. Layers with a sliding window or a recurrent state grow with no
    token and are not in it.
    """

    format: str
    weights_bytes: int
    architecture: str = ""
    quantization: str = ""
    parameters: int | None = None
    context: int | None = None
    kv_bytes_per_token: int | None = None
    dtypes: Mapping[str, int] | None = None


def of_safetensors(headers: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> Facts:
    """From the headers of all shards and config.json ({} where there is none)."""
    dtypes: Counter[str] = Counter()
    parameters = 0
    for header in headers:
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            start, end = tensor["data_offsets"]
            dtypes[tensor["dtype"]] += end - start
            parameters += _product(tensor["shape"])
    text = _text(config)
    return Facts(
        format="safetensors",
        weights_bytes=sum(dtypes.values()),
        architecture=next(iter(config.get("architectures") or []), ""),
        quantization=_quantization(config) or next(iter(dict(dtypes.most_common(1))), ""),
        # Packed quantizations hold several numbers in one, so the count would be wrong.
        parameters=None if _quantization(config) else parameters,
        context=_number(text.get("max_position_embeddings")),
        kv_bytes_per_token=_kv_of_config(text),
        dtypes=dict(dtypes),
    )


def of_pickles(size: int, config: Mapping[str, Any]) -> Facts:
    """Of pickled weights nothing is read: that would run what is in them."""
    text = _text(config)
    return Facts(
        format="bin",
        weights_bytes=size,
        architecture=next(iter(config.get("architectures") or []), ""),
        quantization=_quantization(config),
        context=_number(text.get("max_position_embeddings")),
        kv_bytes_per_token=_kv_of_config(text),
    )


def of_gguf(size: int, metadata: Mapping[str, Any]) -> Facts:
    """From the metadata of the first shard; `size` is that of all shards."""
    name = str(metadata.get("general.architecture", ""))

    def value(key: str) -> Any:
        return metadata.get(f"{name}.{key}")

    return Facts(
        format="gguf",
        weights_bytes=size,
        architecture=name,
        quantization=_FILE_TYPES.get(metadata.get("general.file_type", -1), ""),
        parameters=_number(metadata.get("general.parameter_count")),
        context=_number(value("context_length")),
        kv_bytes_per_token=_kv_of_gguf(value),
    )


def _kv_of_config(text: Mapping[str, Any]) -> int | None:
    layers, heads = text.get("num_hidden_layers"), text.get("num_attention_heads")
    if not isinstance(layers, int) or not isinstance(heads, int) or not heads:
        return None
    kinds = text.get("layer_types")
    if isinstance(kinds, list):
        layers = sum(kind == "full_attention" for kind in kinds)
    if text.get("kv_lora_rank"):
        # Latent attention keeps one compressed vector and one rotated key for all heads.
        latent = int(text["kv_lora_rank"]) + int(text.get("qk_rope_head_dim") or 0)
        return layers * latent * _KV_BYTES
    width = text.get("head_dim") or text.get("hidden_size", 0) // heads
    shared = text.get("num_key_value_heads") or heads
    return 2 * layers * shared * width * _KV_BYTES or None


def _kv_of_gguf(value: Any) -> int | None:
    layers, heads = value("block_count"), value("attention.head_count")
    if not isinstance(layers, int):
        return None
    first = max(heads) if isinstance(heads, list) and heads else heads
    shared = value("attention.head_count_kv") or heads
    wide = value("embedding_length")
    width = wide // first if isinstance(wide, int) and isinstance(first, int) and first else 0
    keys, values = value("attention.key_length") or width, value("attention.value_length") or width
    # One number for all layers, or one for each: layers with a recurrent state have none.
    per_layer = sum(shared) if isinstance(shared, list) else (shared or 0) * layers
    interval = value("full_attention_interval")
    if isinstance(interval, int) and interval and not isinstance(shared, list):
        per_layer //= interval
    return per_layer * (keys + values) * _KV_BYTES or None


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part about the language model, where a checkpoint sees or hears too."""
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(key), dict):
            return dict(config[key])
    return config


def _quantization(config: Mapping[str, Any]) -> str:
    found = config.get("quantization_config") or _text(config).get("quantization_config") or {}
    method = found.get("quant_method") or found.get("quant_algo") or ""
    detail = found.get("quant_algo") or found.get("fmt") or found.get("bits") or ""
    return " ".join(dict.fromkeys(str(each) for each in (method, detail) if each))


def _product(shape: Sequence[int]) -> int:
    found = 1
    for each in shape:
        found *= each
    return found


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


# general.file_type of llama.cpp's files, as its header numbers them.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
