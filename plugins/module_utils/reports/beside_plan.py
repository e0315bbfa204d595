# SPDX-License-Identifier: Apache-2.0
"""What the plan predicted beside what the server and the GPU say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
MIB, GIB = 2**20, 2**30
MILLION = 1_000_000


def measured(samples: Iterable[Mapping[str, Any]], gpu_mib: Sequence[float]) -> Json:
    """The plan's figures, as the running engine has them; None where it does not say.

    Args:
        samples: of the server's metrics, as the module llm_metrics_info returns them.
        gpu_mib: memory in use on each GPU.
    """
    tokens, at_once = 0.0, 0.0
    for one in samples:
        if one["name"] == "vllm:cache_config_info":
            # Each engine of a server with data parallelism has its own.
            tokens += _number(one["labels"].get("kv_cache_size_tokens"))
            at_once += _number(one["labels"].get("kv_cache_max_concurrency"))
    return {
        "kv_tokens": tokens or None,
        "max_concurrency": at_once or None,
        "gpu_gib": max(gpu_mib) * MIB / GIB if gpu_mib else None,
    }


def rows(plan: Mapping[str, Any], found: Mapping[str, Any]) -> list[Json]:
    """Each figure with `predicted`, `measured` and their `difference` in per cent."""
    used = (plan.get("per_gpu") or {}).get("used_when_serving_bytes")
    wanted = [
        ("tokens in the KV cache", plan.get("kv_tokens") or None, found["kv_tokens"]),
        (
            "requests of full length at once",
            plan.get("max_concurrency") or None,
            found["max_concurrency"],
        ),
        ("GiB used on a GPU, at most", used and used / GIB, found["gpu_gib"]),
    ]
    return [_row(*one) for one in wanted if one[1] is not None or one[2] is not None]


def token_price(plan: Mapping[str, Any], usage: Mapping[str, Any]) -> Json | None:
    """USD for a million generated tokens: of a machine that is full, and of the one that runs."""
    cost, tokens = usage.get("cost"), usage["total"]["tokens_out"]
    if cost is None or not tokens:
        return None
    chosen = [
        one["price_per_million_tokens"]
        for one in plan.get("machine_types") or []
        if (one.get("gpu"), one.get("gpus")) == (plan.get("gpu"), plan.get("gpus"))
        and one.get("price_per_million_tokens") is not None
    ]
    return _row(
        "USD for a million generated tokens (predicted: when full)",
        chosen[0] if chosen else None,
        cost["total"] / tokens * MILLION,
    )


def _row(what: str, predicted: float | None, found: float | None) -> Json:
    difference = None
    if predicted and found is not None:
        difference = round((found / predicted - 1) * 100, 1)
    return {
        "what": what,
        "predicted": None if predicted is None else round(predicted, 2),
        "measured": None if found is None else round(found, 2),
        "difference_percent": difference,
    }


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
