# SPDX-License-Identifier: Apache-2.0
"""The plan's predictions against what vLLM counted and logged on a real H100 (dummy weights)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plugins.measured_runs import plan, runs

RUNS = runs("h100.jsonl")
STARTED = [run for run in RUNS if run["started"]]


def named(run: dict[str, Any]) -> str:
    return f"{run['model']}-{'eager' if run['arguments'].get('enforce_eager') else 'graphs'}"


def test_six_shapes_started_and_one_start_was_refused() -> None:
    assert len({run["model"] for run in STARTED}) >= 6
    assert [run["model"] for run in RUNS if not run["started"]] == ["qwen2.5-32b"]


@pytest.mark.parametrize("run", STARTED, ids=named)
def test_tokens_of_the_kv_cache(run: dict[str, Any]) -> None:
    assert plan(run)["kv_tokens"] == pytest.approx(run["kv_tokens"], rel=0.05)
    assert plan(run)["max_concurrency"] == pytest.approx(run["max_concurrency"], rel=0.05)


@pytest.mark.parametrize("run", RUNS, ids=named)
def test_memory_that_is_not_the_caches(run: dict[str, Any]) -> None:
    found = plan(run)["per_gpu"]
    assert found["memory_bytes"] == run["before_create"]["total_memory"]
    assert found["requested_bytes"] == run["requested_memory"]
    assert found["weights_bytes"] == pytest.approx(run["weights_memory"], rel=0.01)
    taken = run["requested_memory"] - run["available_kv_cache_memory_bytes"]
    expected = found["requested_bytes"] - found["kv_cache_bytes"]
    assert expected == pytest.approx(taken, rel=0.05)
    assert found["kv_cache_bytes"] == pytest.approx(
        run["available_kv_cache_memory_bytes"], rel=0.05
    )


@pytest.mark.parametrize("run", [run for run in STARTED if "used_when_serving" in run], ids=named)
def test_memory_used_when_serving(run: dict[str, Any]) -> None:
    """Of the whole GPU, read after 64 requests."""
    found = plan(run)["per_gpu"]
    assert found["used_when_serving_bytes"] == pytest.approx(run["used_when_serving"], rel=0.05)


@pytest.mark.parametrize("run", STARTED, ids=named)
def test_the_engines_tables(run: dict[str, Any]) -> None:
    """vLLM 0.25 does not count them, and its older model runner has none."""
    if "gpu_model_runner" in run["runner"]:
        return
    kept = run["allocated_before_profile"] - run["weights_memory"]
    assert plan(run)["per_gpu"]["state_bytes"] == pytest.approx(kept, rel=0.08)


@pytest.mark.parametrize("run", RUNS, ids=named)
def test_what_fits_starts_and_what_vllm_refuses_does_not_fit(run: dict[str, Any]) -> None:
    found = plan(run)
    assert found["fits"] is run["started"]
    if not run["started"]:
        # vLLM's own estimate of what would: 18128 tokens.
        assert 0.5 * 18128 < found["max_model_len"] <= 18128


@pytest.mark.parametrize("run", RUNS, ids=named)
def test_the_margin_covers_what_newer_versions_count(run: dict[str, Any]) -> None:
    """0.32 takes all that is gone since before the start, and the peak above what is kept."""
    before, after = run["before_create"], run["after_profile"]
    gone = before["free_memory"] - after["free_memory"]
    peak = after["torch_peak"] - after["torch_memory"]
    newer = run["requested_memory"] - gone - max(0, peak)
    found = plan(run)["per_gpu"]
    relied_on = found["kv_cache_bytes"] - found["safety_bytes"]
    assert relied_on <= newer
