# SPDX-License-Identifier: Apache-2.0
"""What a million generated tokens cost: measured where it was, else estimated from data sheets.

The load is that of the measurement: distinct prompts of 256 tokens and answers of 128, up to 128
requests at once. An estimate adds the time to read weights and KV cache from memory for each step
to the time to compute all tokens, and takes a share of that bound. On the H100 that was measured
(8B in bfloat16) the share was 0.72 to 0.76 with 1 to 128 requests at once, and 0.64 with 256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model.shape import Shape
from ..model.size import count

INPUT, OUTPUT, AT_ONCE = 256, 128, 128
# Of the bound: expected, and the range within which others are thought to lie.
SHARE, LEAST_SHARE, MOST_SHARE = 0.6, 0.35, 0.85


@dataclass(frozen=True)
class Rate:
    """Memory bandwidth in bytes a second, and dense 16-bit tensor operations a second."""

    bandwidth: float
    operations: float


# NVIDIA's data sheets of each GPU (SXM where there are several), read as dense: without sparsity.
RATES = {
    "nvidia-tesla-t4": Rate(300e9, 65e12),
    "nvidia-l4": Rate(300e9, 121e12),
    "nvidia-tesla-a100": Rate(1555e9, 312e12),
    "nvidia-a100-80gb": Rate(2039e9, 312e12),
    "nvidia-h100-80gb": Rate(3350e9, 989e12),
    "nvidia-h100-mega-80gb": Rate(3350e9, 989e12),
    "nvidia-h200-141gb": Rate(4800e9, 989e12),
    "nvidia-b200": Rate(7700e9, 2250e12),
    "nvidia-rtx-pro-6000": Rate(1597e9, 500e12),
}
# `parameters` and `bytes_each` say for which models.
MEASURED: list[dict[str, Any]] = [
    {
        "gpu": "nvidia-h100-80gb",
        "gpus": 1,
        "parameters": 8.03e9,
        "bytes_each": 2.0,
        "tokens_per_second": 7_672,
        "basis": "measured with this server on one H100 80GB (vLLM 0.25.1): 8B-shaped Llama in "
        "bfloat16, 128 requests at once with distinct prompts of 256 tokens and answers of 128",
    }
]


def of_a_million(shape: Shape, row: Mapping[str, Any]) -> dict[str, Any]:
    """`price_per_million_tokens`, `price_range_per_million_tokens` and `throughput_basis`.

    Args:
        row: one of machine_choice's, with `per_gpu` of `fit.judge`.
    """
    price = row["price_per_hour"]
    if row["fits"] is not True:
        return _none("does not fit, or it can't be told")
    if shape.encoder:
        return _none("the model generates nothing")
    if price is None:
        return _none(f"no price for {row['machine_type']}")
    for one in MEASURED:
        same = (one["gpu"], one["gpus"]) == (row["gpu"], row["gpus"])
        near = abs(count(shape).total / one["parameters"] - 1) < 0.1 and shape.experts is None
        if same and near and row["per_gpu"]["weights_bytes"] > 1.8 * count(shape).total:
            each = _a_million(price, one["tokens_per_second"])
            return _found(each, (each, each), str(one["basis"]))
    bound = bound_per_second(shape, row)
    if bound is None:
        return _none(f"no data sheet of {row['gpu']}, or no room for such requests")
    return _found(
        _a_million(price, SHARE * bound),
        (_a_million(price, MOST_SHARE * bound), _a_million(price, LEAST_SHARE * bound)),
        f"estimate, not measured: {LEAST_SHARE} to {MOST_SHARE} of what the data sheet's memory "
        f"bandwidth and operations allow ({int(bound)} tokens a second), for up to {AT_ONCE} "
        f"requests at once with {INPUT} tokens in and {OUTPUT} out",
    )


def bound_per_second(shape: Shape, row: Mapping[str, Any]) -> float | None:
    """Generated tokens a second that neither memory nor arithmetic would exceed."""
    rate, per_gpu = RATES.get(row["gpu"]), row["per_gpu"]
    at_once = min(AT_ONCE, row["max_num_seqs"], row["kv_tokens"] // (INPUT + OUTPUT))
    if rate is None or per_gpu is None or at_once < 1:
        return None
    parameters, split = count(shape), row["tensor_parallel_size"]
    read, active = 1.0, float(parameters.total)
    if shape.experts is not None:
        share = shape.experts.active / shape.experts.count
        active -= parameters.experts * (1 - share)
        # Experts that no request of a step asks for are not read.
        unread = (1 - share) ** at_once
        read -= unread * parameters.experts / parameters.total
    kept = at_once * (INPUT + OUTPUT / 2) * per_gpu["kv_bytes_per_token"]
    step = (per_gpu["weights_bytes"] * read + kept) / rate.bandwidth
    compute = (INPUT + OUTPUT) * 2 * active / split / rate.operations
    return float(OUTPUT / (OUTPUT * step / at_once + compute))


def _a_million(price: float, tokens_per_second: float) -> float:
    return round(price / tokens_per_second / 3600 * 1e6, 4)


def _found(price: float, between: tuple[float, float], basis: str) -> dict[str, Any]:
    return {
        "price_per_million_tokens": price,
        "price_range_per_million_tokens": list(between),
        "throughput_basis": basis,
    }


def _none(basis: str) -> dict[str, Any]:
    return {
        "price_per_million_tokens": None,
        "price_range_per_million_tokens": None,
        "throughput_basis": basis,
    }
