# SPDX-License-Identifier: Apache-2.0
"""vLLM's engine arguments, completed by its defaults on a GPU. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..hardware.gpus import Gpu
from ..model.shape import Shape
from ..model.unknown import Unknown
from . import engine_arg_names

DEFAULT_UTILIZATION = 0.92
# Releases that cache no prefixes of models with states, where they are not asked to.
_STATES_NOT_CACHED = frozenset({"0.25.1"})
# Models that vLLM refuses to run in float16.
NOT_IN_HALF = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})


class ArgumentError(ValueError):
    """An engine argument has a value that means nothing; the text says which."""


@dataclass(frozen=True)
class Engine:
    """What the engine will run with; lengths are tokens, and None is the model's own.

    Attributes:
        graphs: numbers of tokens for which a CUDA graph is captured.
        chunked: whether a prompt may be split over steps.
        state_dtype: of what layers without attention keep, `recurrent_dtype` of their recurrence.
        state_blocks: blocks of such a state that a request takes.
        not_counted: what else was given that takes or frees memory which is not counted.
        reshaped: whether config.json is overridden (hf_overrides), so that the shape may not hold.
        release: of vLLM.
    """

    dtype: str
    utilization: float
    batched: int
    sequences: int
    graphs: tuple[int, ...]
    chunked: bool
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
    state_dtype: str
    recurrent_dtype: str
    state_blocks: int
    not_counted: tuple[Unknown, ...]
    reshaped: bool
    release: str


def plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by their names with underscores, as settings have them, whatever the spelling."""
    return {str(name).lstrip("-").replace("-", "_"): value for name, value in given.items()}


def resolve(
    given: Mapping[str, Any],
    shape: Shape,
    gpu: Gpu | None,
    tensor_parallel: int | None = None,
    release: str = "",
) -> Engine:
    """Given arguments, completed as vLLM's server completes them on that GPU (None: CPU).

    Args:
        release: of vLLM; empty for the newest that the tables have.

    Raises:
        ArgumentError: a value of the wrong kind.
    """
    args = plain(given)
    length, fit_length = _length(args.get("max_model_len"))
    chunked = not shape.encoder
    if args.get("enable_chunked_prefill") is not None:
        chunked = _flag(args["enable_chunked_prefill"])
    batched, sequences = _steps(args, gpu, length or shape.max_length, chunked)
    release = release or engine_arg_names.NEWEST
    state_blocks, unknown = _state_blocks(args, shape, release)
    return Engine(
        dtype=_dtype(str(args.get("dtype") or "auto"), shape, gpu),
        utilization=_number(args, "gpu_memory_utilization", DEFAULT_UTILIZATION),
        batched=batched,
        sequences=sequences,
        graphs=_graphs(args, gpu, batched, sequences),
        chunked=chunked,
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
        state_dtype=_other_dtype(args, "mamba_cache_dtype"),
        recurrent_dtype=_other_dtype(args, "mamba_ssm_cache_dtype"),
        state_blocks=state_blocks,
        not_counted=(*engine_arg_names.not_counted(args), *unknown),
        reshaped=bool(args.get("hf_overrides")),
        release=release,
    )


def _steps(args: Mapping[str, Any], gpu: Gpu | None, length: int, chunked: bool) -> tuple[int, int]:
    """Tokens of a step and sequences at once."""
    batched, sequences = _batches(gpu)
    if args.get("performance_mode") == "throughput":
        batched, sequences = 2 * batched, 2 * sequences
    asked = int(_number(args, "max_num_seqs", 0))
    if not chunked:
        batched = max(batched, length)
    batched = min(batched, (asked or sequences) * length)
    batched = int(_number(args, "max_num_batched_tokens", batched))
    return batched, asked or min(sequences, batched)


def _graphs(
    args: Mapping[str, Any], gpu: Gpu | None, batched: int, sequences: int
) -> tuple[int, ...]:
    listed = args.get("cudagraph_capture_sizes")
    if listed:
        try:
            return tuple(sorted({int(one) for one in listed if int(one) <= batched}))
        except (TypeError, ValueError):
            raise ArgumentError(
                f"cudagraph_capture_sizes is {listed!r}: give a list of numbers"
            ) from None
    # Data-centre Blackwell captures more since vLLM 0.32.
    most = 1024 if gpu is not None and int(gpu.capability) == 10 else 512
    requested = int(_number(args, "max_cudagraph_capture_size", min(sequences * 2, most)))
    largest = min(requested, batched)
    fine = args.get("performance_mode") == "interactivity"
    small = range(1, min(largest, 32) + 1) if fine else (1, 2, 4)
    sizes = {*small, *range(8, min(largest + 1, 256), 8), *range(256, largest + 1, 16)}
    return tuple(sorted(one for one in sizes | {min(batched, largest)} if one <= largest))


def _batches(gpu: Gpu | None) -> tuple[int, int]:
    """Tokens a step and sequences at once, by default, for the API server."""
    if gpu is None:
        return 2048, 128
    if gpu.memory >= 160 << 30:
        return 16384, 1024
    return (2048, 256) if gpu.small_batches else (8192, 1024)


def _state_blocks(
    args: Mapping[str, Any], shape: Shape, release: str
) -> tuple[int, tuple[Unknown, ...]]:
    """Blocks of a request's state: with a cache of prefixes the last one is kept besides."""
    if shape.state is None:
        return 0, ()
    given = args.get("enable_prefix_caching")
    if release in _STATES_NOT_CACHED:
        cached = _flag(given)
        return 1, (Unknown("states that enable_prefix_caching keeps"),) if cached else ()
    return (1 if given is not None and not _flag(given) else 2), ()


def _other_dtype(args: Mapping[str, Any], name: str) -> str:
    value = str(args.get(name) or "auto")
    return "" if value == "auto" else value


def _dtype(asked: str, shape: Shape, gpu: Gpu | None) -> str:
    if asked != "auto":
        return {"half": "float16", "float": "float32"}.get(asked, asked)
    own = "bfloat16" if shape.dtype in {"float32", "float"} else shape.dtype
    if own not in {"float16", "bfloat16"}:
        own = "bfloat16"
    if own == "bfloat16" and gpu is not None and not gpu.bfloat16:
        return "float32" if shape.model_type in NOT_IN_HALF else "float16"
    if shape.dtype in {"float32", "float"} and shape.model_type not in NOT_IN_HALF:
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
