# SPDX-License-Identifier: Apache-2.0
"""Does a model fit in a machine's own memory, where vLLM runs without a GPU. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hardware import machine_types
from ..hardware.gpus import GIB
from ..model.shape import Shape
from ..model.unknown import Unknown, texts
from ..vllm import engine_arg_names, engine_args, engine_checks
from . import activations, fit, gpu_memory, kv_cache
from .gpu_memory import gib

# The server's two processes with their libraries, and the system; a bound, not a measurement.
_PROCESSES = 4 * GIB


def judge(
    shape: Shape,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    size: int | None,
    workload: fit.Workload,
) -> dict[str, Any]:
    """One answer, as of `fit.judge`; `fits` is null where the machine's memory is not known.

    Args:
        options: `cpu_kv_cache_gib`, what VLLM_CPU_KVCACHE_SPACE gives the KV cache; `machine_type`,
            whose memory it is to fit in; `vllm_version`.
        size: the checkpoint's tensors in bytes, as they are loaded.
    """
    release = str(options.get("vllm_version") or engine_arg_names.NEWEST)
    engine = engine_args.resolve(given, shape, None, release=release)
    scheme = gpu_memory.scheme_of(shape, engine, release)
    layout = gpu_memory.layout(shape, engine, None)
    space = engine.kv_cache_bytes or options["cpu_kv_cache_gib"] * GIB
    requested = engine.max_model_len or shape.max_length
    length = requested if layout is None else layout.longest(space, requested)
    room = layout.concurrency(space, max(1, length)) if layout else float(engine.sequences)
    weights = gpu_memory.weight_bytes(shape, engine, scheme, size)
    takes = weights + space + activations.peak(shape, engine, scheme) + _PROCESSES
    memory = _memory(str(options.get("machine_type") or ""))
    said = (
        f"weights take {gib(weights)}, the KV cache {gib(space)} of the host's memory, "
        f"which holds requests of up to {length} tokens"
    )
    short = engine_checks.problems(engine, shape, None, 1, scheme, release=release)
    if length < requested and not engine.fit_length:
        short.append(f"not of {requested}: set max_model_len, or VLLM_CPU_KVCACHE_SPACE")
    if workload.context and workload.context > length:
        short.append(f"a context of {workload.context} tokens is longer than that")
    if workload.concurrency and layout is not None:
        context = min(workload.context or length, length)
        most = min(layout.concurrency(space, max(1, context)), engine.sequences)
        if most < workload.concurrency:
            short.append(
                f"{workload.concurrency} requests of {context} tokens at once were asked for, and "
                f"{int(most)} fit: raise VLLM_CPU_KVCACHE_SPACE, and max_num_seqs with it"
            )
    if memory is not None and takes > memory:
        short.append(
            f"with the server itself that is {gib(takes)}, and {options['machine_type']} has "
            f"{gib(memory)}: choose a larger machine type"
        )
    unknown = fit.not_known(shape, engine, scheme, release, size)
    if scheme is not None:
        unknown.append(Unknown(f"how weights in {scheme.name} run on a CPU", frees=False))
    if memory is None:
        text = "the host's memory (a machine type of the table tells it)"
        unknown.append(Unknown(text, frees=False))
    return {
        "gpu": None,
        "gpus": 0,
        "tensor_parallel_size": 1,
        "dtype": engine.dtype,
        "quantization": scheme.name if scheme else None,
        "weights_bytes": weights,
        "kv_bytes_per_token": kv_cache.bytes_per_token(
            shape, gpu_memory.element_bytes(shape, engine)
        ),
        "kv_tokens": layout.tokens(space, max(1, length)) if layout else 0,
        "max_model_len": length,
        "max_concurrency": round(room, 2),
        "per_gpu": None,
        "not_counted": texts(unknown),
        "vllm_args": dict(given)
        | ({"max_model_len": length} if length < requested and not engine.fit_length else {}),
        "machine_types": [],
        **fit.qualified(not short, "; ".join([said, *short]), unknown),
    }


def _memory(machine_type: str) -> int | None:
    found = machine_types.shape(machine_type)
    return int(found[1] * GIB) if found else None
