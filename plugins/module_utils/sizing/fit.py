# SPDX-License-Identifier: Apache-2.0
"""Does a model fit on these GPUs for this workload; if not, why, and what would. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..hardware.gpus import Gpu
from ..model.quantization import DTYPE_BYTES, Quantization
from ..model.shape import Shape
from ..model.unknown import Unknown, decides, texts
from ..vllm import architectures, engine_arg_names, engine_args, engine_checks, quantization_methods
from ..vllm.engine_args import Engine
from . import gpu_memory, kv_cache
from .gpu_memory import Budget, gib
from .kv_cache import Layout

# What is expected is right to this share of the GPU's memory: vLLM refuses what is beyond it.
SURE_OF_MEMORY = 0.0005


@dataclass(frozen=True)
class Workload:
    """What is asked of the endpoint; None where nothing is."""

    context: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True)
class _Room:
    """Bytes that are expected and sure, and the longest requests that they hold, as it was asked.

    Attributes:
        possible: the longest that what is expected holds, `longest` that what is sure holds.
    """

    expected: int
    assured: int
    possible: int
    longest: int
    requested: int


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
    given, release = engine_args.plain(given), release or engine_arg_names.NEWEST
    engine = engine_args.resolve(given, shape, gpu, tensor_parallel, release)
    scheme = gpu_memory.scheme_of(shape, engine, release)
    whole = gpu_memory.weight_bytes(
        shape,
        replace(engine, tensor_parallel=1, pipeline_parallel=1),
        scheme,
        file_bytes,
        gpu.capability,
    )
    unknown = not_known(shape, engine, scheme, release, file_bytes)
    answer: dict[str, Any] = {
        "gpu": gpu.name,
        "gpus": gpus,
        "tensor_parallel_size": engine.tensor_parallel,
        "dtype": engine.dtype,
        "quantization": scheme.name if scheme else None,
        "weights_bytes": whole,
        "kv_bytes_per_token": kv_cache.bytes_per_token(
            shape, gpu_memory.element_bytes(shape, engine)
        ),
        "state_bytes_per_sequence": kv_cache.state_bytes(
            shape, DTYPE_BYTES[engine.dtype], DTYPE_BYTES.get(engine.recurrent_dtype)
        ),
        "kv_tokens": 0,
        "max_model_len": 0,
        "max_concurrency": 0.0,
        "max_num_seqs": engine.sequences,
        "per_gpu": None,
        "not_counted": texts(unknown),
        "vllm_args": given,
    }
    refused = engine_checks.problems(engine, shape, gpu, gpus, scheme, release=release)
    if refused and not engine.reshaped:
        return answer | {"fits": False, "reason": "; ".join(refused)}
    budget = gpu_memory.budget(shape, engine, gpu, scheme, file_bytes)
    answer["per_gpu"] = _numbers(budget, shape, engine)
    if budget.total - budget.requested < gpu_memory.CONTEXT:
        most = 1 - gpu_memory.CONTEXT / budget.total
        return answer | {
            "fits": False,
            "reason": f"gpu_memory_utilization {engine.utilization} leaves less than CUDA itself "
            f"takes of {gpu.name}: at most {int(most * 100) / 100} is available",
        }
    answer |= _length_and_concurrency(shape, given, engine, gpu, budget=budget, workload=workload)
    if answer["fits"] is None:
        if unknown:
            answer["reason"] += f". This is not counted: {', '.join(texts(unknown))}"
        return answer
    return answer | qualified(answer["fits"], answer["reason"], unknown)


def not_known(
    shape: Shape,
    engine: Engine,
    scheme: Quantization | None,
    release: str,
    file_bytes: int | None = None,
) -> list[Unknown]:
    """What decides whether the model fits, and is not known."""
    found = [*shape.not_counted, *engine.not_counted]
    if scheme is not None and not scheme.counted:
        found.append(Unknown(f"weights quantised by {scheme.name}"))
    misread = gpu_memory.misread(shape, engine.dtype, file_bytes)
    if misread is not None:
        found.append(misread)
    found += [
        Unknown(text, frees=False)
        for text in quantization_methods.not_known(shape.quantization, engine.quantization, release)
    ]
    if not architectures.known(shape.architecture, release):
        name = shape.architecture or "none in config.json"
        text = f"the architecture ({name}), which vLLM {release} has no class of its own for"
        found.append(Unknown(text, frees=False))
    return found


def qualified(fits: bool, reason: str, unknown: list[Unknown]) -> dict[str, Any]:
    """`fits` and `reason`: null where something that is not counted may turn the answer around."""
    deciding = decides(unknown, fits)
    if not deciding:
        return {"fits": fits, "reason": reason}
    counted = "fits" if fits else "does not fit"
    return {
        "fits": None,
        "reason": f"what is counted {counted}, and this is not counted: {', '.join(deciding)}. "
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
    layout = gpu_memory.layout(shape, engine, gpu)
    requested = engine.max_model_len or shape.max_length
    takes = (
        f"of {gib(budget.requested)} on each {gpu.name} weights take {gib(budget.weights)}, "
        f"activations, graphs and libraries {gib(budget.overhead)}"
    )
    if layout is None:
        fits = budget.assured > 0
        return _verdict(
            fits,
            takes,
            shape,
            engine,
            given,
            length=requested,
            tokens=0,
            concurrency=engine.sequences,
        )
    expected, assured = engine.kv_cache_bytes or budget.available, budget.assured
    if engine.kv_cache_bytes:
        assured = min(assured, engine.kv_cache_bytes)
    slack = 0 if engine.kv_cache_bytes else int(budget.total * SURE_OF_MEMORY)
    possible, longest = (layout.longest(one, requested) for one in (expected + slack, assured))
    if longest == 0:
        may = possible == requested or (engine.fit_length and possible > 0)
        return _no_cache(takes, budget, expected, fits=None if may else False)
    length = longest if engine.fit_length else min(requested, longest)
    concurrency = layout.concurrency(expected, length)
    sequences = _sequences_that_fit(layout, engine, assured)
    room = _Room(expected, assured, possible, longest, requested)
    short, unsure = _short_and_unsure(layout, engine, takes, room, sequences)
    short += _workload_short(workload, layout, engine, length, assured)
    if longest < requested and not engine.fit_length:
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
    if sequences is not None:
        found["vllm_args"]["max_num_seqs"] = sequences
    if unsure and not short:
        return found | {"fits": None, "reason": "; ".join([takes, *unsure])}
    return found


def _short_and_unsure(
    layout: Layout, engine: Engine, takes: str, room: _Room, sequences: int | None
) -> tuple[list[str], list[str]]:
    """What has no room, and what is not sure to have it; `sequences` would have it."""
    short, unsure = [], []
    if room.longest < room.requested and not engine.fit_length:
        remedy = f"set max_model_len: {_round(room.longest)}"
        if room.possible < room.requested:
            short.append(
                f"{takes}, which leaves room for requests of {room.longest} tokens, not of "
                f"{room.requested}: {remedy}"
            )
        else:
            unsure.append(
                f"room for requests of {room.requested} tokens is expected, and only "
                f"{room.longest} are sure: {remedy}"
            )
    if sequences is None:
        return short, unsure
    number, there = engine.sequences, layout.blocks(room.expected)
    # As much again as is kept back below what is expected: within that neither answer is sure.
    if number > layout.blocks(2 * room.expected - room.assured):
        short.append(
            f"max_num_seqs {number} is more than the {there} sequences for whose state there is "
            f"room, as layers without attention keep one for each: set max_num_seqs: {sequences}"
        )
    else:
        unsure.append(
            f"whether there is room for the state of each of max_num_seqs {number} can't be told, "
            f"as about {there} are expected: set max_num_seqs: {sequences}"
        )
    return short, unsure


def _workload_short(
    workload: Workload, layout: Layout, engine: Engine, length: int, assured: int
) -> list[str]:
    """What is asked of the endpoint and has no room."""
    short = []
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
    return short


def _no_cache(takes: str, budget: Budget, expected: int, fits: bool | None) -> dict[str, Any]:
    """The answer where nothing is sure to be left for the KV cache."""
    reason = f"{takes}, which leaves nothing for the KV cache after {gib(budget.margin)} of safety"
    if fits is None:
        reason += f", and {gib(expected)} without it"
    return {"fits": fits, "reason": reason}


def _sequences_that_fit(layout: Layout, engine: Engine, available: int) -> int | None:
    """`max_num_seqs` to set where vLLM would refuse the one that it has; None where it would not.

    With CUDA graphs it demands a block for the state of each sequence.
    """
    blocks = layout.blocks(available)
    if not layout.stateful or engine.eager or engine.sequences <= blocks:
        return None
    return max(1, blocks // 8 * 8 if blocks >= 16 else blocks)


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
    each = gpu_memory.element_bytes(shape, engine)
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
        "state_bytes_per_sequence": kv_cache.state_bytes(
            shape,
            DTYPE_BYTES[engine.dtype],
            DTYPE_BYTES.get(engine.recurrent_dtype),
            engine.tensor_parallel,
        ),
        "kv_bytes_per_token": kv_cache.bytes_per_token(shape, each, engine.tensor_parallel),
    }
