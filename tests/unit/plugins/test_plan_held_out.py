# SPDX-License-Identifier: Apache-2.0
"""The plan against runs on a real H100 that its constants were not fitted to (dummy weights)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plugins.measured_runs import plan, runs

RUNS = runs("h100-held-out.jsonl")


def near_limit(run: dict[str, Any]) -> bool:
    return bool(run["arguments"].get("gpu_memory_utilization", 1.0) < 0.5)


SIZED = [run for run in RUNS if not near_limit(run)]
NEAR = [run for run in RUNS if near_limit(run)]


def named(run: dict[str, Any]) -> str:
    more = run["arguments"].get("quantization") or run["arguments"].get("kv_cache_dtype") or ""
    return f"{run['run']}-{run['model']}-{more}"


def test_six_shapes_and_three_pairs() -> None:
    assert len({run["model"] for run in SIZED}) >= 5 and len(SIZED) >= 6
    assert len({run["model"] for run in NEAR}) == 3 and len(NEAR) == 6


@pytest.mark.parametrize("run", SIZED, ids=named)
def test_sizes(run: dict[str, Any]) -> None:
    found = plan(run)
    assert found["kv_tokens"] == pytest.approx(run["kv_tokens"], rel=0.05)
    per_gpu = found["per_gpu"]
    assert per_gpu["kv_cache_bytes"] == pytest.approx(
        run["available_kv_cache_memory_bytes"], rel=0.05
    )
    taken = run["requested_memory"] - run["available_kv_cache_memory_bytes"]
    expected = per_gpu["requested_bytes"] - per_gpu["kv_cache_bytes"]
    assert expected == pytest.approx(taken, rel=0.05)
    if "used_when_serving" in run:
        assert per_gpu["used_when_serving_bytes"] == pytest.approx(
            run["used_when_serving"], rel=0.05
        )


@pytest.mark.parametrize("run", RUNS, ids=named)
def test_fits_where_vllm_starts_and_not_where_it_refuses(run: dict[str, Any]) -> None:
    """And never says that it does not fit where vLLM started."""
    if run["started"] is False:
        assert plan(run)["fits"] is False
    else:
        assert plan(run)["fits"] is not False


@pytest.mark.parametrize("run", NEAR, ids=named)
def test_vllm_starts_at_95_percent_of_the_expected_limit_and_not_at_105(
    run: dict[str, Any],
) -> None:
    below = run["arguments"]["max_model_len"] < plan(run)["kv_tokens"]
    assert (run["started"] is not False) is below
