from __future__ import annotations

import io
import json
from typing import Any

import pytest

from anvil_ctl.weights import facts, headers
from anvil_ctl.weights.facts import Facts
from anvil_ctl.weights.headers import Malformed
from anvil_ctl.weights.memory import kv_bytes_per_token, weights_mib
from tests.unit.transfer.checkpoints import CONFIG, gguf, safetensors

# The published shape of gpt-oss-120b: every second layer sees a window of 128 tokens alone.
GPT_OSS: dict[str, Any] = {
    "architectures": ["GptOssForCausalLM"],
    "num_hidden_layers": 36,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
    "quantization_config": {"quant_method": "mxfp4"},
    "max_position_embeddings": 131072,
}


def header(**tensors: int) -> dict[str, Any]:
    found, at = {}, 0
    for name, size in tensors.items():
        found[name] = {"dtype": "U8", "shape": [size], "data_offsets": [at, at + size]}
        at += size
    return found


def test_a_token_of_gpt_oss_takes_what_its_definition_declares() -> None:
    found = facts.of_safetensors([header(a=10)], GPT_OSS)

    assert kv_bytes_per_token(found, "fp8") == 18432
    assert kv_bytes_per_token(found, None) == 2 * 18432
    assert (found.architecture, found.quantization) == ("GptOssForCausalLM", "mxfp4")
    assert found.parameters is None


def test_the_language_model_of_one_that_sees_is_what_counts() -> None:
    seeing = {"architectures": ["Seeing"], "text_config": {**CONFIG, "head_dim": 32}}

    assert facts.of_safetensors([], seeing).kv_bytes_per_token == 2 * 4 * 2 * 32 * 2


def test_latent_attention_keeps_one_vector_for_all_heads() -> None:
    latent = {**CONFIG, "kv_lora_rank": 512, "qk_rope_head_dim": 64}

    assert facts.of_safetensors([], latent).kv_bytes_per_token == 4 * (512 + 64) * 2


def test_shards_add_up_and_an_unquantized_model_counts_its_parameters() -> None:
    found = facts.of_safetensors([header(a=10), header(b=5)], {})

    assert found == Facts("safetensors", 15, "", "U8", 15, None, None, {"U8": 15})


@pytest.mark.parametrize(
    ("dtype", "size"), [("q8_0", 34), ("q4_0", 18), ("fp8_e5m2", 32), ("auto", 64), (None, 64)]
)
def test_a_quantized_cache_is_counted_with_its_scales(dtype: str | None, size: int) -> None:
    found = Facts("gguf", 3 << 20, kv_bytes_per_token=64)

    assert kv_bytes_per_token(found, dtype) == size
    assert weights_mib(found) == 3
    assert kv_bytes_per_token(None, dtype) is None


def test_gguf_metadata_says_what_a_model_is() -> None:
    data = gguf(
        {
            "general.architecture": "qwen35",
            "general.file_type": 15,
            "qwen35.block_count": 4,
            "qwen35.context_length": 262144,
            "qwen35.attention.head_count": 16,
            # Layers with a recurrent state have no keys.
            "qwen35.attention.head_count_kv": [0, 0, 0, 4],
            "qwen35.attention.key_length": 256,
            "qwen35.attention.value_length": 256,
            "tokenizer.ggml.tokens": ["x" * 10] * 5000,
            "tokenizer.ggml.scores": list(range(5000)),
            "general.name": "after the long lists",
        }
    )

    found = headers.gguf(io.BytesIO(data))
    said = facts.of_gguf(99, found)

    assert found["general.name"] == "after the long lists"
    assert found["tokenizer.ggml.tokens"] == "5000 values"
    assert (said.quantization, said.context, said.weights_bytes) == ("Q4_K_M", 262144, 99)
    assert said.kv_bytes_per_token == 4 * 512 * 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GGUG" + b"\0" * 30, "does not begin with GGUF"),
        (b"GGUF" + (1).to_bytes(4, "little") + b"\0" * 30, "GGUF version 1"),
        (gguf({"general.architecture": "llama"})[:30], "ends within its header"),
        (b"", "ends within its header"),
    ],
)
def test_what_is_no_gguf_file_is_said(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        headers.gguf(io.BytesIO(data))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (safetensors("a", 100)[:-1], "its header describes"),
        (safetensors("a", 100) + b"!", "its header describes"),
        (b"\xff" * 40, "its header would be"),
        ((2).to_bytes(8, "little") + b"{]", "cannot be read"),
        ((40).to_bytes(8, "little") + json.dumps({"a": 1}).ljust(40).encode(), "cannot be read"),
    ],
)
def test_what_is_no_safetensors_file_is_said(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        headers.safetensors(io.BytesIO(data), len(data))


def test_a_safetensors_header_is_read_without_its_tensors() -> None:
    data = safetensors("layer", 1000)

    assert set(headers.safetensors(io.BytesIO(data), len(data))) == {"layer"}
