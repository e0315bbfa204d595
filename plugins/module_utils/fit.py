# SPDX-License-Identifier: Apache-2.0
"""Does a model fit on these GPUs for this workload; if not, why, and what would. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import (
    engine_args,
    engine_checks,
    engine_names,
    kv_cache,
    memory_plan,
    quantization_methods,
    vllm_architectures,
)
from .engine_args import Engine
from .gpu_table import Gpu
from .memory_plan import Budget, gib
from .model_shape import Shape
from .quantization import Quantization


@dataclass(frozen=True)
class Workload:
    """What is asked of the endpoint; None where nothing is."""

    context: int | None = None
    concurrency: int | None = None


def judge(
    shape: Shape,
    given: Mapping[str, Any],
    gpu: Gpu,
    gpus: int,
    *,
    workload: Workload = Workload(),
    tensor_parallel: int | None = None,
    file_bytes: int | None = None,
    release: str = "",
) -> dict[str, Any]:
    """One answer for one kind of GPU.

    Args:
        given: engine arguments, as for llm_server_vllm_args.
        gpus: how many there are.
        tensor_parallel: instead of the given one.
        release: of vLLM; empty for the newest that the tables have.

    Returns:
        `fits` (None where what the plan can't count decides), `reason`, and the numbers of RETURN
        in the module vllm_plan.

    Raises:
        ArgumentError: an argument's value means nothing.
    """
    given, release = engine_args.plain(given), release or engine_names.NEWEST
    engine = engine_args.resolve(given, shape, gpu, tensor_parallel)
    scheme = memory_plan.scheme_of(shape, engine)
    whole = memory_plan.weight_bytes(
        shape, replace(engine, tensor_parallel=1, pipeline_parallel=1), scheme, file_bytes
    )
    unknown = not_known(shape, engine, scheme, release)
    answer: dict[str, Any] = {
        "gpu": gpu.name,
        "gpus": gpus,
        "tensor_parallel_size": engine.tensor_parallel,
        "dtype": engine.dtype,
        "quantization": scheme.name if scheme else None,
        "weights_bytes": whole,
        "kv_bytes_per_token": kv_cache.bytes_per_token(
            shape, kv_cache.element_bytes(engine.kv_cache_dtype, engine.dtype)
        ),
        "kv_tokens": 0,
        "max_model_len": 0,
        "max_concurrency": 0.0,
        "max_num_seqs": engine.sequences,
        "per_gpu": None,
        "not_counted": unknown,
        "vllm_args": given,
    }
    refused = engine_checks.problems(engine, shape, gpu, gpus, scheme, release=release)
    if refused and not engine.reshaped:
        return answer | {"fits": False, "reason": "; ".join(refused)}
    budget = memory_plan.budget(shape, engine, gpu, scheme, file_bytes)
    answer["per_gpu"] = _numbers(budget, shape, engine)
    if budget.total - budget.requested < memory_plan.CONTEXT:
        most = 1 - memory_plan.CONTEXT / budget.total
        return answer | {
            "fits": False,
            "reason": f"gpu_memory_utilization {engine.utilization} leaves less than CUDA itself "
            f"takes of {gpu.name}: at most {int(most * 100) / 100} can be had",
        }
    answer |= _length_and_concurrency(shape, given, engine, gpu, budget=budget, workload=workload)
    may_free = engine.may_free or (scheme is not None and not scheme.counted)
    return answer | qualified(answer["fits"], answer["reason"], unknown, may_free)


def not_known(shape: Shape, engine: Engine, scheme: Quantization | None, release: str) -> list[str]:
    """What decides whether the model fits, and is not known."""
    found = [*shape.not_counted, *engine.not_counted]
    if scheme is not None and not scheme.counted:
        found.append(f"weights quantised by {scheme.name}")
    found += quantization_methods.not_known(shape.quantization, engine.quantization, release)
    if not vllm_architectures.known(shape.architecture, release):
        name = shape.architecture or "none in config.json"
        found.append(f"the architecture ({name}), which vLLM {release} has no class of its own for")
    return found


def qualified(fits: bool, reason: str, unknown: list[str], may_free: bool) -> dict[str, Any]:
    """`fits` and `reason`, with what is not known: then nothing that is counted says `fits`.

    Args:
        may_free: whether what is not known may free memory, so that it may fit nevertheless.
    """
    if not unknown or (not fits and not may_free):
        return {"fits": fits, "reason": reason}
    counted = "fits" if fits else "does not fit"
    return {
        "fits": None,
        "reason": f"what is counted {counted}, and this is not counted: {', '.join(unknown)}. "
        f"{reason}",
    }


def _length_and_concurrency(
    shape: Shape,
    given: Mapping[str, Any],
    engine: Engine,
    gpu: Gpu,
    *,
    budget: Budget,
    workload: Workload,
) -> dict[str, Any]:
    layout = memory_plan.layout(shape, engine, gpu)
    wished = engine.max_model_len or shape.max_length
    takes = (
        f"of {gib(budget.requested)} on each {gpu.name} weights take {gib(budget.weights)}, "
        f"activations, graphs and libraries {gib(budget.overhead)}"
    )
    if layout is None:
        fits = budget.assured > 0
        return _verdict(
            fits, takes, shape, engine, given, length=wished, tokens=0, concurrency=engine.sequences
        )
    expected, assured = engine.kv_cache_bytes or budget.available, budget.assured
    if engine.kv_cache_bytes:
        assured = min(assured, engine.kv_cache_bytes)
    longest = layout.longest(assured, wished)
    if longest == 0:
        return {
            "fits": False,
            "reason": f"{takes}, which leaves nothing for the KV cache after {gib(budget.margin)} "
            "of safety",
        }
    length = longest if engine.fit_length else min(wished, longest)
    concurrency = layout.concurrency(expected, length)
    short = [
        f"{takes}, which leaves room for requests of {longest} tokens, not of {wished}: "
        f"set max_model_len: {_round(longest)}"
    ] * (longest < wished and not engine.fit_length)
    if workload.context and workload.context > length:
        short.append(f"a context of {workload.context} tokens is longer than the {length} that fit")
    if workload.concurrency:
        context = min(workload.context or length, length)
        room = min(layout.concurrency(assured, context), engine.sequences)
        if room < workload.concurrency:
            short.append(
                f"{workload.concurrency} requests of {context} tokens at once were asked for, and "
                f"{int(room)} fit"
            )
    if longest < wished and not engine.fit_length:
        length = _round(longest)
        concurrency = layout.concurrency(expected, length)
    found = _verdict(
        not short,
        "; ".join(short) or takes,
        shape,
        engine,
        given,
        length=length,
        tokens=layout.tokens(expected, length),
        concurrency=concurrency,
    )
    if engine.max_model_len != length and not engine.fit_length:
        found["vllm_args"]["max_model_len"] = length
    return found


def _verdict(
    fits: bool,
    reason: str,
    shape: Shape,
    engine: Engine,
    given: Mapping[str, Any],
    *,
    length: int,
    tokens: int,
    concurrency: float,
) -> dict[str, Any]:
    arguments = dict(given)
    if engine.dtype != shape.dtype and "dtype" not in arguments and engine.dtype == "float16":
        arguments["dtype"] = "half"
    if engine.tensor_parallel > 1:
        arguments["tensor_parallel_size"] = engine.tensor_parallel
    return {
        "fits": fits,
        "reason": reason,
        "max_model_len": length,
        "kv_tokens": tokens,
        "max_concurrency": round(concurrency, 2),
        "vllm_args": arguments,
    }


def _round(length: int) -> int:
    """Down to what reads well, and at least one token."""
    for step in (1024, 256, 16):
        if length >= 8 * step:
            return length // step * step
    return length


def _numbers(budget: Budget, shape: Shape, engine: Engine) -> dict[str, int]:
    each = kv_cache.element_bytes(engine.kv_cache_dtype, engine.dtype)
    return {
        "memory_bytes": budget.total,
        "requested_bytes": budget.requested,
        "weights_bytes": budget.weights,
        "activation_bytes": budget.activations,
        "state_bytes": budget.state,
        "cuda_graph_bytes": budget.graphs,
        "non_torch_bytes": budget.non_torch,
        "kv_cache_bytes": budget.available,
        "safety_bytes": budget.available - budget.assured,
        "used_when_serving_bytes": budget.used,
        "kv_bytes_per_token": kv_cache.bytes_per_token(shape, each, engine.tensor_parallel),
    }
