# SPDX-License-Identifier: Apache-2.0
"""What the histograms of a server's metrics say of all its requests since it started. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]
PROMPT = "vllm:request_prompt_tokens"
ANSWER = "vllm:request_generation_tokens"
FIRST = "vllm:time_to_first_token_seconds"
QUEUE = "vllm:request_queue_time_seconds"
#: What is asked of the server.
NAMES = (
    *(f"{name}_{part}" for name in (PROMPT, ANSWER, FIRST, QUEUE) for part in ("sum", "count")),
    *(f"{name}_bucket" for name in (PROMPT, ANSWER, FIRST)),
    "vllm:cache_config_info",
    "process_start_time_seconds",
)


def of_samples(samples: Iterable[Mapping[str, Any]]) -> Json:
    """`started`, `requests`, `longest`, `mean_tokens`, `first_token`, `queue_share`, `kv_tokens`.

    None where it cannot be told, 0 where nothing was counted.
    """
    known = list(samples)
    totals: dict[str, float] = {}
    for one in known:
        totals[one["name"]] = totals.get(one["name"], 0.0) + one["value"]
    requests = totals.get(f"{PROMPT}_count", 0.0)
    ends = [_most(known, name) for name in (PROMPT, ANSWER)]
    waited, first = totals.get(f"{QUEUE}_sum"), totals.get(f"{FIRST}_sum")
    return {
        "started": totals.get("process_start_time_seconds", 0.0),
        "requests": requests,
        "longest": None if None in ends else sum(end for end in ends if end is not None),
        "mean_tokens": (totals.get(f"{PROMPT}_sum", 0.0) + totals.get(f"{ANSWER}_sum", 0.0))
        / requests
        if requests
        else None,
        "first_token": quantile(buckets(known, FIRST), 0.95),
        "queue_share": None if waited is None or not first else min(1.0, waited / first),
        "kv_tokens": sum(
            _number(one["labels"].get("kv_cache_size_tokens"))
            for one in known
            if one["name"] == "vllm:cache_config_info"
        ),
    }


def buckets(samples: Iterable[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """Upper end and cumulated number of each bucket, over all engines, in order."""
    found: dict[float, float] = {}
    for one in samples:
        if one["name"] == f"{name}_bucket":
            end = (
                math.inf if one["labels"].get("le") == "+Inf" else _number(one["labels"].get("le"))
            )
            found[end] = found.get(end, 0.0) + one["value"]
    return sorted(found.items())


def quantile(found: list[tuple[float, float]], share: float) -> float | None:
    """The value below which that share lies, as Prometheus calculates it; None of none."""
    if not found or not found[-1][1]:
        return None
    wanted, low, below = share * found[-1][1], 0.0, 0.0
    for end, number in found:
        if number >= wanted:
            if math.isinf(end):
                return low
            return low + (end - low) * (wanted - below) / (number - below)
        low, below = end, number
    return low


def _most(samples: list[Mapping[str, Any]], name: str) -> float | None:
    """The end of the bucket that the largest value lies in; None where nothing bounds it."""
    found = buckets(samples, name)
    if not found or not found[-1][1]:
        return None
    end = next(end for end, number in found if number == found[-1][1])
    return None if math.isinf(end) else end


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
