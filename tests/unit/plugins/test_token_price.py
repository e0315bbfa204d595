# SPDX-License-Identifier: Apache-2.0
"""A million tokens' price: measured for one model on one GPU, else a labelled estimate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import (
    fit,
    machine_choice,
    token_price,
)

ROOT = Path(__file__).parents[3]
MODELS = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())
GIVEN = {"max_model_len": 4096}


def shape(name: str) -> model_shape.Shape:
    return model_shape.parse(MODELS[name]["config"])


def row(name: str, gpu: str = "h100", price: float | None = 10.0, **given: Any) -> dict[str, Any]:
    found = gpus.find(gpu)
    assert found is not None
    answer = fit.judge(shape(name), GIVEN | given, found, 1)
    return answer | {"machine_type": "a-machine", "price_per_hour": price}


def test_the_measured_model_has_its_measured_price() -> None:
    found = token_price.of_a_million(shape("llama-3.1-8b"), row("llama-3.1-8b"))
    expected = 10 / 3600 / 7672 * 1e6
    assert found["price_per_million_tokens"] == pytest.approx(expected, rel=0.001)
    low, high = found["price_range_per_million_tokens"]
    assert low == high == found["price_per_million_tokens"]
    assert found["throughput_basis"].startswith("measured")
    # Rounded to 8 bits it is another load.
    rounded = row("llama-3.1-8b", quantization="fp8_per_tensor")
    assert (
        "estimate" in token_price.of_a_million(shape("llama-3.1-8b"), rounded)["throughput_basis"]
    )


@pytest.mark.parametrize(
    ("at_once", "measured"), [(1, 149), (8, 1083), (32, 3510), (128, 7672), (256, 8044)]
)
def test_what_was_measured_lies_within_the_estimates_range(
    monkeypatch: pytest.MonkeyPatch, at_once: int, measured: float
) -> None:
    """Tokens a second of this server on an H100 (benchmarks/results/h100-2026-11-23)."""
    monkeypatch.setattr(token_price, "AT_ONCE", at_once)
    bound = token_price.bound_per_second(shape("llama-3.1-8b"), row("llama-3.1-8b"))
    assert bound is not None
    assert token_price.LEAST_SHARE * bound < measured < token_price.MOST_SHARE * bound


def test_others_are_estimated_and_say_so() -> None:
    name = "qwen2.5-1.5b"
    found = token_price.of_a_million(shape(name), row(name, "l4", 0.7))
    low, high = found["price_range_per_million_tokens"]
    assert 0 < low < found["price_per_million_tokens"] < high
    assert found["throughput_basis"].startswith("estimate, not measured")
    assert found["throughput_basis"].count("data sheet") == 1


def test_experts_that_are_not_asked_for_cost_no_arithmetic() -> None:
    sparse, dense = row("qwen3-30b-a3b"), row("qwen2.5-32b")
    fast = token_price.bound_per_second(shape("qwen3-30b-a3b"), sparse)
    slow = token_price.bound_per_second(shape("qwen2.5-32b"), dense)
    assert fast is not None and slow is not None and fast > 1.5 * slow


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("llama-3.1-8b", {"fits": False}, "does not fit"),
        ("llama-3.1-8b", {"fits": None}, "can't be told"),
        ("llama-3.1-8b", {"price_per_hour": None}, "no price"),
        ("bge-base-en-v1.5", {}, "generates nothing"),
        ("qwen2.5-1.5b", {"kv_tokens": 100}, "no room"),
    ],
)
def test_where_there_is_no_price(name: str, changes: dict[str, Any], said: str) -> None:
    given = {"max_model_len": 512} if name.startswith("bge") else {}
    found = token_price.of_a_million(shape(name), row(name, **given) | changes)
    assert found["price_per_million_tokens"] is None
    assert found["price_range_per_million_tokens"] is None
    assert said in found["throughput_basis"]


def test_every_gpu_has_its_data_sheet_and_every_row_a_price_or_a_reason() -> None:
    assert token_price.RATES.keys() == gpus.GPUS.keys()
    rows = machine_choice.choose(
        shape("qwen2.5-1.5b"), GIVEN, region="us-central1", workload=fit.Workload()
    )
    for one in rows:
        priced = one["fits"] is True and one["price_per_hour"] is not None
        assert (one["price_per_million_tokens"] is not None) is priced
        assert one["throughput_basis"] and "per_gpu" not in one
    assert {one["machine_type"] for one in rows if one["price_per_million_tokens"]} >= {
        "g2-standard-4",
        "a3-highgpu-1g",
    }
