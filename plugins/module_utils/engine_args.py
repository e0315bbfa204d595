# SPDX-License-Identifier: Apache-2.0
"""vLLM's engine arguments: its defaults on a GPU, and what it would refuse to start with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .gpu_table import Gpu
from .model_shape import Shape
from .quantization import Quantization

DEFAULT_UTILIZATION = 0.92
# Models that vLLM refuses to run in float16.
_NOT_IN_HALF = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
_HALF = frozenset({"half", "float16"})
# Arguments that take memory which the plan does not count.
_NOT_COUNTED = {
    "speculative_config": "the draft model of speculative_config",
    "enable_lora": "LoRA adapters",
    "cpu_offload_gb": "weights that cpu_offload_gb keeps off the GPU",
    "num_gpu_blocks_override": "num_gpu_blocks_override",
    "kv_transfer_config": "kv_transfer_config",
    "data_parallel_size": "data_parallel_size",
    "enable_expert_parallel": "enable_expert_parallel",
    "decode_context_parallel_size": "decode_context_parallel_size",
}


class ArgumentError(ValueError):
    """An engine argument has a value that means nothing; the text says which."""


@dataclass(frozen=True)
class Engine:
    """What the engine will run with; lengths are tokens, and None is the model's own."""

    dtype: str
    utilization: float
    batched: int
    sequences: int
    largest_graph: int
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int | None
    fit_length: bool
    kv_cache_dtype: str
    eager: bool
    block: int | None
    one_kind: bool
    quantization: str | None
    kv_cache_bytes: int | None
    not_counted: tuple[str, ...]


def resolve(
    given: Mapping[str, Any], shape: Shape, gpu: Gpu | None, tensor_parallel: int | None = None
) -> Engine:
    """Given arguments, completed as vLLM's server completes them on that GPU (None: CPU).

    Raises:
        ArgumentError: a value of the wrong kind.
    """
    args = {str(key).replace("-", "_"): value for key, value in given.items()}
    batched, sequences = _batches(gpu)
    length, fit_length = _length(args.get("max_model_len"))
    most = length or shape.max_length
    if args.get("max_num_batched_tokens") is None:
        if str(args.get("enable_chunked_prefill", True)).lower() == "false" or shape.encoder:
            batched = max(batched, most)
        batched = min(batched, sequences * most) if most else batched
    sequences = int(_number(args, "max_num_seqs", sequences))
    return Engine(
        dtype=_dtype(str(args.get("dtype") or "auto"), shape, gpu),
        utilization=_number(args, "gpu_memory_utilization", DEFAULT_UTILIZATION),
        batched=int(_number(args, "max_num_batched_tokens", batched)),
        sequences=sequences,
        largest_graph=int(_number(args, "max_cudagraph_capture_size", min(sequences * 2, 512))),
        tensor_parallel=tensor_parallel or int(_number(args, "tensor_parallel_size", 1)),
        pipeline_parallel=int(_number(args, "pipeline_parallel_size", 1)),
        max_model_len=length,
        fit_length=fit_length,
        kv_cache_dtype=str(args.get("kv_cache_dtype") or "auto"),
        eager=_flag(args.get("enforce_eager")),
        block=int(_number(args, "block_size", 0)) or None,
        one_kind=_flag(args.get("disable_hybrid_kv_cache_manager")),
        quantization=str(args["quantization"]) if args.get("quantization") else None,
        kv_cache_bytes=int(_number(args, "kv_cache_memory_bytes", 0)) or None,
        not_counted=tuple(
            what for name, what in _NOT_COUNTED.items() if _used(name, args.get(name))
        ),
    )


def _used(name: str, value: Any) -> bool:
    """Whether an argument is given a value that does something; sizes of 1 are none."""
    idle = {"", "0", "0.0", "false", "none"} | ({"1"} if name.endswith("_size") else set())
    return value is not None and str(value).lower() not in idle


def problems(
    engine: Engine, shape: Shape, gpu: Gpu | None, gpus: int, quantization: Quantization | None
) -> list[str]:
    """Why vLLM would not start with these arguments, whatever the memory; empty where it would."""
    found = []
    tensor, wanted = engine.tensor_parallel, engine.tensor_parallel * engine.pipeline_parallel
    if wanted > gpus:
        found.append(
            f"tensor_parallel_size {tensor} x pipeline_parallel_size {engine.pipeline_parallel} "
            f"needs {wanted} GPUs, and there is {gpus}"
        )
    if shape.heads % tensor:
        found.append(f"{shape.heads} attention heads can't be split over {tensor} GPUs")
    elif not shape.latent and max(shape.kv_heads, tensor) % min(shape.kv_heads, tensor):
        found.append(f"{shape.kv_heads} key-value heads can't be split over {tensor} GPUs")
    sizes = {shape.intermediate} if shape.experts is None else {shape.experts.intermediate}
    if any(size % tensor for size in sizes):
        found.append(f"layers of {sorted(sizes)[0]} can't be split over {tensor} GPUs")
    if engine.max_model_len and engine.max_model_len > shape.max_length:
        found.append(
            f"max_model_len {engine.max_model_len} is more than the model's {shape.max_length}"
        )
    if engine.batched < engine.sequences:
        found.append(
            f"max_num_batched_tokens {engine.batched} is less than max_num_seqs {engine.sequences}"
        )
    if not 0 < engine.utilization <= 1:
        found.append(f"gpu_memory_utilization {engine.utilization} is not between 0 and 1")
    if engine.dtype in _HALF and shape.model_type in _NOT_IN_HALF:
        found.append(f"{shape.model_type} does not run in float16: its numbers overflow")
    return found + (_hardware_problems(engine, shape, gpu, quantization) if gpu else [])


def _hardware_problems(
    engine: Engine, shape: Shape, gpu: Gpu, quantization: Quantization | None
) -> list[str]:
    found = []
    if engine.dtype == "bfloat16" and not gpu.bfloat16:
        found.append(f"{gpu.name} has no bfloat16: set dtype: half")
    if quantization is not None and gpu.capability < quantization.least_capability:
        found.append(
            f"weights in {quantization.name} need compute capability "
            f"{quantization.least_capability}, and {gpu.name} has {gpu.capability}"
        )
    needs_newer = {
        "a KV cache in fp8": engine.kv_cache_dtype.startswith("fp8"),
        "latent attention (MLA)": shape.latent is not None,
        "attention sinks": shape.sinks,
    }
    found += [
        f"{what} is not taken for granted below compute capability 8.0, and {gpu.name} has "
        f"{gpu.capability}"
        for what, there in needs_newer.items()
        if there and gpu.capability < 8.0
    ]
    return found


def _batches(gpu: Gpu | None) -> tuple[int, int]:
    """Tokens a step and sequences at once, by default, for the API server."""
    if gpu is None:
        return 2048, 128
    if gpu.memory >= 160 << 30:
        return 16384, 1024
    return (2048, 256) if gpu.small_batches else (8192, 1024)


def _dtype(asked: str, shape: Shape, gpu: Gpu | None) -> str:
    if asked != "auto":
        return {"half": "float16", "float": "float32"}.get(asked, asked)
    own = "bfloat16" if shape.dtype in {"float32", "float"} else shape.dtype
    if own not in {"float16", "bfloat16"}:
        own = "bfloat16"
    if own == "bfloat16" and gpu is not None and not gpu.bfloat16:
        return "float32" if shape.model_type in _NOT_IN_HALF else "float16"
    if shape.dtype in {"float32", "float"} and shape.model_type not in _NOT_IN_HALF:
        return "float16" if own == "float16" else "bfloat16"
    return own


def _length(given: Any) -> tuple[int | None, bool]:
    """Length in tokens, and whether the engine is to find what fits (`auto` and -1)."""
    if given in (None, ""):
        return None, False
    text = str(given).strip().lower()
    if text in {"auto", "-1"}:
        return None, True
    factor = {"k": 1000, "m": 1000_000}.get(text[-1:], 1)
    # vLLM reads 1K as 1024 and 1k as 1000.
    if str(given).strip()[-1:] in {"K", "M"}:
        factor = {"k": 1 << 10, "m": 1 << 20}[text[-1]]
    try:
        return int(float(text.rstrip("km")) * factor), False
    except ValueError:
        raise ArgumentError(f"max_model_len is {given!r}: give a number of tokens") from None


def _number(args: Mapping[str, Any], name: str, default: float) -> float:
    value = args.get(name)
    if value in (None, "") or isinstance(value, bool):
        return default
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} is {value!r}: give a number") from None


def _flag(value: Any) -> bool:
    return str(value).lower() in {"true", "yes", "1"}
