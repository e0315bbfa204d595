# SPDX-License-Identifier: Apache-2.0
"""What vLLM would refuse to start with, whatever the memory. Pure."""

from __future__ import annotations

import math

from ..hardware.gpus import Gpu
from ..model.quantization import Quantization
from ..model.shape import Shape
from . import engine_arg_names, quantization_methods
from .engine_args import NOT_IN_HALF, Engine

# Of any published build for GPUs.
LEAST_CAPABILITY = 7.5
_HALF = frozenset({"half", "float16"})
# Releases that split experts by whole blocks only.
_WHOLE_BLOCKS = frozenset({"0.25.1"})


def problems(
    engine: Engine,
    shape: Shape,
    gpu: Gpu | None,
    gpus: int,
    quantization: Quantization | None,
    *,
    release: str = engine_arg_names.NEWEST,
) -> list[str]:
    """Why vLLM would not start with these arguments, whatever the memory; empty where it would.

    Args:
        release: of vLLM.
    """
    found = quantization_methods.problems(
        shape.quantization, engine.quantization, release, shape.model_type
    )
    tensor, wanted = engine.tensor_parallel, engine.tensor_parallel * engine.pipeline_parallel
    if wanted > gpus:
        found.append(
            f"tensor_parallel_size {tensor} x pipeline_parallel_size {engine.pipeline_parallel} "
            f"needs {wanted} GPUs, and there is {gpus}"
        )
    if shape.heads % tensor:
        found.append(
            f"{shape.heads} attention heads can't be split over {tensor} GPUs: set "
            f"tensor_parallel_size to one of {', '.join(map(str, _splits(shape.heads)))}"
        )
    elif not shape.latent and max(shape.kv_heads, tensor) % min(shape.kv_heads, tensor):
        found.append(f"{shape.kv_heads} key-value heads can't be split over {tensor} GPUs")
    if shape.state is not None and shape.state.heads % tensor:
        found.append(
            f"{shape.state.heads} heads of the layers without attention can't be split over "
            f"{tensor} GPUs"
        )
    sizes = {shape.dense_intermediate} if shape.dense_layers else set()
    if shape.experts is not None:
        sizes = {shape.experts.intermediate}
    if any(size % tensor for size in sizes):
        found.append(f"layers of {sorted(sizes)[0]} can't be split over {tensor} GPUs")
    if engine.max_model_len and engine.max_model_len > shape.longest:
        found.append(
            f"max_model_len {engine.max_model_len} is more than the model's {shape.longest}"
        )
    length = engine.max_model_len or shape.max_length
    if not engine.chunked and not engine.fit_length and engine.batched < length:
        found.append(
            f"max_num_batched_tokens {engine.batched} is less than max_model_len {length}, and "
            "this model's prompts are not split over steps: raise the first (null for vLLM's own), "
            "or lower the second"
        )
    if engine.batched < engine.sequences:
        found.append(
            f"max_num_batched_tokens {engine.batched} is less than max_num_seqs {engine.sequences}"
        )
    if not 0 < engine.utilization <= 1:
        found.append(f"gpu_memory_utilization {engine.utilization} is not between 0 and 1")
    if engine.dtype in _HALF and shape.model_type in NOT_IN_HALF:
        found.append(f"{shape.model_type} does not run in float16: its numbers overflow")
    found += _scales_that_cannot_be_split(engine, shape, quantization, release)
    return found + (_hardware_problems(engine, shape, gpu, quantization) if gpu else [])


def _splits(heads: int) -> list[int]:
    """Numbers of GPUs, of those that machine types have, over which heads can be split."""
    return [one for one in (1, 2, 4, 8, 16) if heads % one == 0]


def _scales_that_cannot_be_split(
    engine: Engine, shape: Shape, quantization: Quantization | None, release: str
) -> list[str]:
    """Layers whose share of a GPU ends amid a group or block of weights with one scale."""
    if quantization is None or quantization.experts_only:
        return []
    split, found = engine.tensor_parallel, []
    inner = [shape.dense_intermediate] if shape.experts is None or shape.dense_layers else []
    head = shape.latent.value_dim if shape.latent else shape.head_dim
    inputs = [*inner, shape.heads * head]
    group = quantization.group or (quantization.block[1] if quantization.block else 0)
    if group and split > 1:
        found += [size for size in inputs if size // split % group]
    if quantization.block:
        heads = [] if shape.latent else [shape.heads // split, max(1, shape.kv_heads // split)]
        outputs = [(size, size // split) for size in inner]
        outputs += [(one * head * split, one * head) for one in heads]
        found += [whole for whole, part in outputs if part % quantization.block[0]]
    least = max([group, *quantization.block])
    if shape.experts is not None and least and split > 1:
        size = shape.experts.intermediate
        # Since 0.32 experts' blocks are refined to what divides both, down to 32.
        finest = 32 if quantization.group or release not in _WHOLE_BLOCKS else least
        if math.gcd(least, size // split) < min(finest, least):
            found.append(size)
    return [
        f"layers of {size}, quantised with a scale for each {least}, can't be split over {split} "
        "GPUs: choose a smaller tensor_parallel_size"
        for size in sorted(set(found))
    ]


def _hardware_problems(
    engine: Engine, shape: Shape, gpu: Gpu, quantization: Quantization | None
) -> list[str]:
    found = []
    if gpu.capability < LEAST_CAPABILITY:
        return [
            f"vLLM has no code for compute capability {gpu.capability}, which {gpu.name} has: "
            f"choose a "
            f"GPU with {LEAST_CAPABILITY} or higher (T4, L4, A100, H100 and newer)"
        ]
    if engine.dtype == "bfloat16" and not gpu.bfloat16:
        found.append(f"{gpu.name} has no bfloat16: set dtype: half")
    if quantization is not None and gpu.capability < quantization.least_capability:
        found.append(
            f"weights in {quantization.name} need compute capability "
            f"{quantization.least_capability}, and {gpu.name} has {gpu.capability}"
        )
    needs_newer = {
        "a KV cache in fp8": (
            shape.cache_declared if engine.kv_cache_dtype == "auto" else engine.kv_cache_dtype
        ).startswith("fp8"),
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
