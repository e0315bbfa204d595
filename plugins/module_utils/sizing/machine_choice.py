# SPDX-License-Identifier: Apache-2.0
"""Which machine types a model fits on, cheapest first, and a million tokens' price. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hardware import gpus, machine_types, provisioning
from ..model.shape import Shape
from ..pricing import costs
from ..vllm import engine_args
from . import fit, token_price

# T4s come without a machine type of their own; these are common ones to attach them to.
_N1 = (("n1-standard-8", 1), ("n1-standard-16", 2), ("n1-standard-32", 4))
_T4 = "nvidia-tesla-t4"


def candidates() -> list[tuple[str, str, int]]:
    """Machine types with GPUs, as (machine type, GPU, how many)."""
    found = [(name, kind, number) for name, (kind, number) in machine_types.BUNDLED.items()]
    return found + [(name, _T4, number) for name, number in _N1]


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
        gpu = gpus.find(kind)
        if gpu is None:
            continue
        answer = best(
            shape, given, gpu, number, workload=workload, file_bytes=file_bytes, release=release
        )
        row = {
            "machine_type": name,
            "gpu": kind,
            "gpus": number,
            "price_per_hour": price_per_hour(name, kind, number, region),
            "price_model": price_model(name),
            "sold_as": list(provisioning.sold_as(name)),
            "fits": answer["fits"],
            "reason": answer["reason"],
            "tensor_parallel_size": answer["tensor_parallel_size"],
            "max_model_len": answer["max_model_len"],
            "max_concurrency": answer["max_concurrency"],
            "kv_tokens": answer["kv_tokens"],
        }
        rows.append(row | token_price.of_a_million(shape, row | answer))
    order = {True: 0, None: 1, False: 2}
    return sorted(
        rows,
        key=lambda row: (
            order[row["fits"]],
            row["price_per_hour"] is None,
            row["price_per_hour"] or 0.0,
            row["gpus"] * gpus.GPUS[row["gpu"]].memory,
        ),
    )


def best(
    shape: Shape,
    given: Mapping[str, Any],
    gpu: gpus.Gpu,
    number: int,
    *,
    workload: fit.Workload,
    file_bytes: int | None,
    release: str,
) -> dict[str, Any]:
    """The answer with the fewest of a machine's GPUs on which it fits, else the nearest to it."""
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
    fitting = [one for one in answers if one["fits"] is True] or [
        one for one in answers if one["fits"] is None
    ]
    return fitting[0] if fitting else max(answers, key=lambda one: int(one["max_model_len"]))


def splits(shape: Shape, number: int) -> list[int | None]:
    """Numbers of GPUs, up to `number`, that the model's heads can be split over."""
    powers = [1 << power for power in range(number.bit_length()) if 1 << power <= number]
    return [size for size in powers if shape.heads % size == 0]


def price_per_hour(machine_type: str, gpu: str, number: int, region: str) -> float | None:
    """List price in USD of machine and GPUs, by `price_model`; None where the table lacks it."""
    parts = costs.Table().machine_parts(machine_type, [{"type": gpu, "count": number}], region)
    model = costs.of_provisioning(price_model(machine_type))
    hourly = costs.total(parts, model)["hourly"]
    return None if hourly is None else round(float(hourly), 4)


def price_model(machine_type: str) -> str:
    """The provisioning model to price a machine in: STANDARD, or SPOT where it is not sold so."""
    sold = provisioning.sold_as(machine_type)
    first = (provisioning.STANDARD, provisioning.SPOT, *sold)
    return next(model for model in first if model in sold)
