"""Listings of the shapes that publishers use, with sizes in MB."""

from __future__ import annotations

import hashlib

from anvil_ctl.weights.listing import File, Listing

COMMIT = "0123456789abcdef0123456789abcdef01234567"

_SIDE = "config.json=0.001 tokenizer.json=11 README.md=0.01 .gitattributes=0.002"
REPOSITORIES = {
    # Three copies of the weights; engines need the one at the top.
    "openai/gpt-oss-120b": f"{_SIDE} chat_template.jinja=0.02 model.safetensors.index.json=0.1 "
    "model-00000-of-00002.safetensors=30400 model-00001-of-00002.safetensors=30400 "
    "original/model--00001-of-00001.safetensors=60800 original/config.json=0.001 "
    "metal/model.bin=60800",
    "unsloth/Qwen3.6-27B-GGUF": f"{_SIDE} Qwen3.6-27B-Q4_K_M.gguf=16800 "
    "Qwen3.6-27B-UD-Q4_K_XL.gguf=17600 BF16/Qwen3.6-27B-BF16-00001-of-00002.gguf=30000 "
    "BF16/Qwen3.6-27B-BF16-00002-of-00002.gguf=24000 mmproj-F16.gguf=900 mmproj-BF16.gguf=900 "
    "imatrix_unsloth.gguf=13",
    "org/two-formats": f"{_SIDE} model.safetensors=500 pytorch_model.bin=500 tf_model.h5=500 "
    "onnx/model.onnx=500 model.fp16.safetensors=250 training_args.bin=0.01",
    "mistralai/Small": f"{_SIDE} model-00001-of-00001.safetensors=47000 "
    "consolidated.safetensors=47000 tekken.json=15",
    "org/parts": f"{_SIDE} model.safetensors=500 2_Dense/model.safetensors=4 1_Pooling/config.json=0.001",
    "org/unclear": f"{_SIDE} model.safetensors=500 int4/model.safetensors=300",
    "org/short": f"{_SIDE} m-Q8_0-00001-of-00003.gguf=10 m-Q8_0-00003-of-00003.gguf=10",
}


def files(repo: str, **have: int) -> tuple[File, ...]:
    """The files of a repository; large ones have a sha256, small ones a git blob id."""
    found = []
    for each in REPOSITORIES[repo].split():
        path, _, size = each.partition("=")
        name = f"{repo}/{path}".encode()
        large = float(size) >= 1
        etag = hashlib.sha256(name).hexdigest() if large else hashlib.sha1(name).hexdigest()  # noqa: S324 - git's
        found.append(File(path, round(float(size) * 1e6), etag, have.get(path, 0)))
    return tuple(found)


def listing(repo: str, **more: object) -> Listing:
    known = {"license": "apache-2.0", "free": 800_000_000_000}
    return Listing(repo, COMMIT, files(repo), **{**known, **more})  # type: ignore[arg-type]
