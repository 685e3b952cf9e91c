"""The last words of engines, as they write them: one sample for each known failure.

Shapes of lines are the engines' own; models, sizes and paths are made up.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """What a container of an engine wrote before it ended, and the signature that fits."""

    id: str
    engine: str
    log: str
    exit_code: int = 1


_CORE = "(EngineCore_DP0 pid=78) ERROR 11-25 09:14:02 [core.py:1104] "
_SGL = "[2026-11-25 09:14:02] "

SAMPLES = (
    Sample("no-such-card", "sglang", "RuntimeError: No CUDA GPUs are available\n"),
    Sample(
        "no-gpu-driver",
        "vllm",
        'Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]\n',
        125,
    ),
    Sample(
        "old-driver",
        "vllm",
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0, please update "
        "your driver to a newer version, or use an earlier cuda container\n",
        128,
    ),
    Sample(
        "unknown-flag",
        "vllm",
        "usage: vllm serve [model_tag] [options]\n"
        "vllm serve: error: unrecognized arguments: --swap-space 4\n",
        2,
    ),
    Sample(
        "gpu-memory",
        "sglang",
        f"{_SGL}Scheduler hit an exception: Traceback (most recent call last):\n"
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
        "capacity of 31.84 GiB of which 345.00 MiB is free.\n",
    ),
    Sample(
        "illegal-instruction",
        "vllm",
        f"{_CORE}torch.AcceleratorError: CUDA error: an illegal instruction was encountered\n"
        f"{_CORE}CUDA kernel errors might be asynchronously reported at some other API call\n",
    ),
    Sample(
        "fp4-conversion",
        "vllm",
        "ptxas /tmp/tmpxft.ptx, line 712; error   : Instruction 'cvt with .e2m1x2' not supported on "
        ".target 'sm_120'\nninja: build stopped: subcommand failed.\n",
    ),
    Sample(
        "deep-gemm-layout",
        "vllm",
        f"{_CORE}RuntimeError: Assertion error (csrc/apis/layout.hpp:59): Unknown SF transformation\n",
    ),
    Sample(
        "no-such-weights",
        "vllm",
        "OSError: /models/hub/models--a--b/snapshots/1 is not a local folder and is not a valid "
        "model identifier listed on 'https://huggingface.co/models'\n",
    ),
    Sample(
        "path-as-a-repository",
        "sglang",
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or "
        "'namespace/repo_name': 'C:/Program Files/Git/models/qwen'. Use `repo_type` if needed.\n",
    ),
    Sample(
        "download-lock",
        "vllm",
        "Still waiting to acquire lock on /root/.cache/huggingface/.gitignore.lock (elapsed: 0.1 s)\n",
        0,
    ),
    Sample(
        "gated-model",
        "vllm",
        "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-67)\n"
        "Cannot access gated repo for url https://huggingface.co/a/b/resolve/main/config.json.\n",
    ),
    Sample(
        "hub-offline",
        "vllm",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find the requested files in the disk "
        "cache and outgoing traffic has been disabled.\n",
    ),
    Sample(
        "port-taken",
        "sglang",
        "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 30000): "
        "address already in use\n",
    ),
    Sample(
        "name-taken",
        "",
        'Error response from daemon: Conflict. The container name "/anvil-agentic-fast-local-1" is '
        'already in use by container "4f0e". You have to remove (or rename) that container.\n',
    ),
    Sample(
        "disk-full", "vllm", "OSError: [Errno 28] No space left on device: '/root/.cache/vllm/x'\n"
    ),
    Sample(
        "cache-not-writable",
        "vllm",
        "PermissionError: [Errno 13] Permission denied: '/root/.cache/vllm/torch_compile_cache'\n",
    ),
    Sample(
        "windows-line-ends",
        "ds4",
        "/bin/bash: /usr/local/bin/start.sh: /bin/sh^M: bad interpreter: No such file or directory\n",
        126,
    ),
    Sample(
        "context-too-long",
        "vllm",
        "ValueError: This model's maximum context length is 32768 tokens. However, you requested "
        "41000 tokens in the messages.\n",
    ),
    Sample(
        "no-such-model-name",
        "vllm",
        "INFO 11-25 09:14:02 NotFoundError: The model `qwen36-27b-nvfp4` does not exist. code=404\n",
    ),
    Sample(
        "host-memory",
        "sglang",
        f"{_SGL}Rank 0 scheduler is dead. Please check if there are relevant logs.\n"
        f"{_SGL}Exit code: -9\n",
    ),
    Sample(
        "host-memory",
        "llamacpp",
        "load_tensors: loading model tensors, this can take a while\n",
        137,
    ),
    Sample("vllm-uva", "vllm", f"{_CORE}RuntimeError: UVA is not available\n"),
    Sample(
        "vllm-cute-dsl",
        "vllm",
        "(Worker_TP0 pid=91) ERROR 11-25 09:14:02 [multiproc_executor.py:962] flashinfer.utils."
        "BackendSupportedError: mm_fp4 does not support backend 'cute-dsl' with capability 120\n",
    ),
    Sample(
        "vllm-mamba-blocks",
        "vllm",
        f"{_CORE}ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (856). Each "
        "decode sequence requires one Mamba cache block.\n",
    ),
    Sample(
        "vllm-no-cache-blocks",
        "vllm",
        f"{_CORE}ValueError: No available memory for the cache blocks. Try increasing "
        "`gpu_memory_utilization` when initializing the engine.\n",
    ),
    Sample(
        "vllm-not-enough-free",
        "vllm",
        f"{_CORE}ValueError: Free memory on device cuda:0 (12.61/31.84 GiB) on startup is less than "
        "desired GPU memory utilization (0.85, 27.07 GiB). Decrease GPU memory utilization.\n",
    ),
    Sample(
        "vllm-quantization",
        "vllm",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, Quantization method specified in the model config (compressed-tensors) does "
        "not match the quantization method specified in the `quantization` argument (modelopt_fp4).\n",
    ),
    Sample(
        "vllm-uuid-as-a-number",
        "vllm",
        "ValueError: invalid literal for int() with base 10: "
        "'GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc'\n"
        "ERROR 11-25 09:14:02 Model architectures ['GptOssForCausalLM'] failed to be inspected.\n",
    ),
    Sample(
        "vllm-not-inspected",
        "vllm",
        "  Value error, Model architectures ['NewForCausalLM'] failed to be inspected. Please check "
        "the logs for more details.\n",
    ),
    Sample(
        "vllm-tool-choice",
        "vllm",
        'ERROR 11-25 09:14:02 "auto" tool choice requires --enable-auto-tool-choice and '
        "--tool-call-parser to be set\n",
    ),
    Sample(
        "vllm-marlin-load",
        "vllm",
        f"{_CORE}  torch.cuda.empty_cache()\n{_CORE}torch.AcceleratorError: CUDA error: unknown error\n",
    ),
    Sample(
        "sglang-memory-fraction",
        "sglang",
        f"{_SGL}RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.\n",
    ),
    Sample(
        "sglang-capture-memory",
        "sglang",
        f"{_SGL}Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 1 GiB.\n",
    ),
    Sample(
        "sglang-trtllm",
        "sglang",
        "AssertionError: TRTLLM MHA backend is only supported on Blackwell GPUs (SM100).\n",
    ),
    Sample(
        "sglang-quantization",
        "sglang",
        "ValueError: Quantization method specified in the model config (compressed-tensors) does not "
        "match the quantization method specified in the `quantization` argument (awq).\n",
    ),
    Sample(
        "llamacpp-card-memory",
        "llamacpp",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 27000.00 MiB on device 0\n"
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer\n",
    ),
    Sample("llamacpp-old-flag", "llamacpp", "error: invalid argument: --no-mmap\n"),
    Sample(
        "llamacpp-new-architecture",
        "llamacpp",
        "llama_model_load: error loading model: error loading model architecture: unknown model "
        "architecture: 'qwen4next'\n",
    ),
    Sample(
        "llamacpp-not-gguf",
        "llamacpp",
        "gguf_init_from_file_impl: invalid magic characters: '<!DO', expected 'GGUF'\n",
    ),
    Sample("ds4-lock", "ds4", "ds4-server: /tmp/ds4.lock is held by another process\n"),
)
