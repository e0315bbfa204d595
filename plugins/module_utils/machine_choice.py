# SPDX-License-Identifier: Apache-2.0
"""Which machine types a model fits on, cheapest first, and a million tokens' price. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import costs, engine_args, fit, gpu_table, machine_types
from .model_shape import Shape
from .weights_size import count

# T4s come without a machine type of their own; these are common ones to attach them to.
_N1 = (("n1-standard-8", 1), ("n1-standard-16", 2), ("n1-standard-32", 4))
_T4 = "nvidia-tesla-t4"

# Measured generation, tokens a second: what a price for a million tokens may rest on. `parameters`
# and `bytes_each` say for which models.
MEASURED: list[dict[str, Any]] = [
    {
        "gpu": "nvidia-h100-80gb",
        "gpus": 1,
        "parameters": 8.03e9,
        "bytes_each": 2.0,
        "tokens_per_second": 11_200,
        "basis": "best case, measured with this server on one H100 80GB (vLLM 0.25.1): 8B-shaped "
        "Llama in bfloat16, 128 clients at once with one prompt of 256 tokens, which the prefix "
        "cache helps; the lower of two runs",
    }
]


def candidates() -> list[tuple[str, str, int]]:
    """Machine types with GPUs, as (machine type, GPU, how many)."""
    found = [(name, kind, number) for name, (kind, number) in machine_types.BUNDLED.items()]
    return found + [(name, _T4, number) for name, number in _N1]


def gpus_of(machine_type: str, accelerators: list[Mapping[str, Any]]) -> tuple[str, int] | None:
    """GPU and number of a machine type, or of what is attached to it; None where there is none."""
    bundled = machine_types.BUNDLED.get(machine_type)
    if bundled:
        return bundled
    for one in accelerators:
        return str(one.get("type", "")), int(one.get("count") or 1)
    return None


def choose(
    shape: Shape,
    given: Mapping[str, Any],
    *,
    region: str,
    workload: fit.Workload,
    file_bytes: int | None = None,
    release: str = "",
) -> list[dict[str, Any]]:
    """Every machine type with its answer: those that fit first, by price, unknown prices last.

    Where no tensor_parallel_size is given, the fewest of a machine's GPUs that fit are used.
    """
    rows = []
    for name, kind, number in candidates():
        gpu = gpu_table.find(kind)
        if gpu is None:
            continue
        answer = _best(
            shape, given, gpu, number, workload=workload, file_bytes=file_bytes, release=release
        )
        rows.append(
            {
                "machine_type": name,
                "gpu": kind,
                "gpus": number,
                "price_per_hour": price_per_hour(name, kind, number, region),
                "fits": answer["fits"],
                "reason": answer["reason"],
                "tensor_parallel_size": answer["tensor_parallel_size"],
                "max_model_len": answer["max_model_len"],
                "max_concurrency": answer["max_concurrency"],
                "kv_tokens": answer["kv_tokens"],
            }
        )
    for row in rows:
        row["price_per_million_tokens"], row["throughput_basis"] = price_per_million(shape, row)
    order = {True: 0, None: 1, False: 2}
    return sorted(
        rows,
        key=lambda row: (
            order[row["fits"]],
            row["price_per_hour"] is None,
            row["price_per_hour"] or 0.0,
            row["gpus"] * gpu_table.GPUS[row["gpu"]].memory,
        ),
    )


def _best(
    shape: Shape,
    given: Mapping[str, Any],
    gpu: gpu_table.Gpu,
    number: int,
    *,
    workload: fit.Workload,
    file_bytes: int | None,
    release: str,
) -> dict[str, Any]:
    given = engine_args.plain(given)
    asked = given.get("tensor_parallel_size") is not None
    sizes = [None] if asked else splits(shape, number)
    answers = [
        fit.judge(
            shape,
            given,
            gpu,
            number,
            workload=workload,
            tensor_parallel=size,
            file_bytes=file_bytes,
            release=release,
        )
        for size in sizes
    ]
    fitting = [one for one in answers if one["fits"] is not False]
    return fitting[0] if fitting else max(answers, key=lambda one: int(one["max_model_len"]))


def splits(shape: Shape, number: int) -> list[int | None]:
    """Numbers of GPUs, up to `number`, that the model's heads can be split over."""
    powers = [1 << power for power in range(number.bit_length()) if 1 << power <= number]
    return [size for size in powers if shape.heads % size == 0]


def price_per_hour(machine_type: str, gpu: str, number: int, region: str) -> float | None:
    """List price in USD of machine and GPUs, on demand; None where the table lacks a part."""
    parts = costs.Table().machine_parts(machine_type, [{"type": gpu, "count": number}], region)
    hourly = costs.total(parts, "on_demand")["hourly"]
    return None if hourly is None else round(float(hourly), 4)


def price_per_million(shape: Shape, row: Mapping[str, Any]) -> tuple[float | None, str]:
    """USD for a million generated tokens at full load, and what it rests on."""
    if row["fits"] is not True:
        return None, "does not fit"
    parameters = count(shape).total
    for one in MEASURED:
        same = (one["gpu"], one["gpus"]) == (row["gpu"], row["gpus"])
        near = abs(parameters / one["parameters"] - 1) < 0.1 and shape.experts is None
        if same and near and not shape.quantization:
            if row["price_per_hour"] is None:
                return None, f"no price for {row['machine_type']}; {one['basis']}"
            each = row["price_per_hour"] / one["tokens_per_second"] / 3600 * 1e6
            return round(each, 4), str(one["basis"])
    return None, "no throughput was measured for such a model on such a GPU"
