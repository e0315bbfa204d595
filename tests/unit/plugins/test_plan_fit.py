# SPDX-License-Identifier: Apache-2.0
"""What fits where, what is refused and why, and on which machine types it would fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus as gpu_table
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import machine_types
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import plan as report
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import fit, machine_choice
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import engine_args

ROOT = Path(__file__).parents[3]
MODELS = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())


def shape(name: str, **changes: Any) -> model_shape.Shape:
    return model_shape.parse(MODELS[name]["config"] | changes)


def judge(name: str, gpu: str, gpus: int = 1, **rest: Any) -> dict[str, Any]:
    given = rest.pop("given", {})
    found = gpu_table.find(gpu)
    assert found is not None
    return fit.judge(shape(name, **rest.pop("changes", {})), given, found, gpus, **rest)


@pytest.mark.parametrize(
    ("name", "gpu", "given", "fits"),
    [
        ("qwen2.5-1.5b", "l4", {}, True),
        ("qwen2.5-0.5b", "t4", {}, True),
        ("llama-3.1-8b", "h100", {}, True),
        # 131072 tokens take 16 GiB, which an L4 has not left beside 15 GiB of weights.
        ("llama-3.1-8b", "l4", {}, False),
        ("llama-3.1-8b", "l4", {"max_model_len": 8192}, True),
        ("llama-3.1-8b", "t4", {"max_model_len": 512}, False),
        ("llama-3.1-70b", "h100", {"max_model_len": 512}, False),
        ("qwen2.5-32b", "h100", {"max_model_len": 16384}, True),
        ("qwen2.5-32b", "h100", {"gpu_memory_utilization": 0.8}, False),
        ("mixtral-8x7b", "h100", {"max_model_len": 512}, False),
        ("mixtral-8x7b", "h200", {}, True),
        ("gpt-oss-20b", "l4", {"max_model_len": 8192}, True),
        ("bge-base-en-v1.5", "t4", {}, True),
    ],
)
def test_known_fits(name: str, gpu: str, given: dict[str, Any], fits: bool) -> None:
    assert judge(name, gpu, given=given)["fits"] is fits


def test_what_would_fit_is_said_and_does() -> None:
    found = judge("llama-3.1-8b", "l4")
    assert found["fits"] is False
    length = found["vllm_args"]["max_model_len"]
    assert f"set max_model_len: {length}" in found["reason"]
    assert length == found["max_model_len"] and 8192 < length < 65536
    again = judge("llama-3.1-8b", "l4", given=found["vllm_args"])
    assert again["fits"] is True and again["max_model_len"] == length


def test_a_length_that_the_engine_finds_itself_fits() -> None:
    found = judge("llama-3.1-8b", "l4", given={"max_model_len": "auto"})
    assert found["fits"] is True
    assert found["vllm_args"] == {"max_model_len": "auto"}
    assert found["kv_tokens"] >= found["max_model_len"] > 8192


def test_a_longer_context_than_fits_is_refused_also_where_the_engine_finds_the_length() -> None:
    given = {"max_model_len": "auto"}
    longest = judge("llama-3.1-8b", "l4", given=given)["max_model_len"]
    for context, fits in ((longest, True), (longest + 1, False)):
        found = judge("llama-3.1-8b", "l4", given=given, workload=fit.Workload(context=context))
        assert found["fits"] is fits
    assert f"a context of {longest + 1} tokens is longer than the {longest} that fit" in str(
        found["reason"]
    )


@pytest.mark.parametrize(
    ("name", "gpu", "given", "said"),
    [
        ("llama-3.1-8b", "t4", {"dtype": "bfloat16"}, "dtype: half"),
        ("gemma-2-9b", "h100", {"dtype": "half"}, "float16"),
        ("gpt-oss-20b", "t4", {}, "compute capability"),
        ("deepseek-v2-lite", "t4", {}, "latent"),
        ("qwen2.5-1.5b", "t4", {"kv_cache_dtype": "fp8"}, "KV cache in fp8"),
        ("llama-3.1-8b", "h100", {"max_model_len": 200000}, "131072"),
        ("llama-3.1-8b", "h100", {"tensor_parallel_size": 2}, "needs 2 GPUs"),
        ("llama-3.1-8b", "h100", {"gpu_memory_utilization": 1.5}, "between 0 and 1"),
        ("llama-3.1-8b", "h100", {"gpu_memory_utilization": 0.999}, "CUDA itself"),
        (
            "llama-3.1-8b",
            "h100",
            {"max_num_batched_tokens": 128, "max_num_seqs": 256},
            "max_num_seqs 256",
        ),
    ],
)
def test_what_vllm_would_refuse(name: str, gpu: str, given: dict[str, Any], said: str) -> None:
    found = judge(name, gpu, given=given)
    assert found["fits"] is False
    assert said in found["reason"]


def test_heads_that_cannot_be_split() -> None:
    found = judge("qwen2.5-0.5b", "l4", 4, given={"tensor_parallel_size": 4})
    assert found["fits"] is False and "14 attention heads" in found["reason"]


def test_t4_has_no_bfloat16_and_gets_half() -> None:
    found = judge("qwen2.5-1.5b", "t4")
    assert found["dtype"] == "float16"
    assert found["vllm_args"]["dtype"] == "half"
    # Gemma's numbers overflow in half, so that vLLM runs it in float32.
    assert judge("gemma-3-1b", "t4")["dtype"] == "float32"


def test_two_gpus_halve_the_weights() -> None:
    one = judge("llama-3.1-70b", "h100", 4, given={"tensor_parallel_size": 4})
    assert one["fits"] is True
    assert one["per_gpu"]["weights_bytes"] == pytest.approx(one["weights_bytes"] / 4, rel=0.01)
    assert one["per_gpu"]["kv_bytes_per_token"] == one["kv_bytes_per_token"] / 4


def test_fp8_cache_holds_twice_as_much() -> None:
    plain, small = (
        judge("llama-3.1-8b", "h100", given={"kv_cache_dtype": kind})["kv_tokens"]
        for kind in ("auto", "fp8")
    )
    assert small == pytest.approx(2 * plain, rel=0.001)


def test_larger_graphs_take_more_memory_up_to_the_token_budget() -> None:
    steps = {"max_num_batched_tokens": 768, "max_num_seqs": 512}
    usual, larger, capped = (
        judge("llama-3.1-8b", "h100", given=steps | more)["per_gpu"]["cuda_graph_bytes"]
        for more in ({}, {"max_cudagraph_capture_size": 768}, {"max_cudagraph_capture_size": 4096})
    )
    assert usual < larger == capped


@pytest.mark.parametrize(
    ("context", "concurrency", "fits"),
    [(4096, 16, True), (4096, 100_000, False), (32769, 0, False)],
)
def test_a_workload(context: int, concurrency: int, fits: bool) -> None:
    workload = fit.Workload(context, concurrency or None)
    found = judge("qwen2.5-7b", "h100", workload=workload)
    assert found["fits"] is fits
    assert fits or str(context) in found["reason"]


def test_what_is_not_counted_is_not_called_fitting() -> None:
    found = judge("llama-3.1-8b", "h100", given={"enable_lora": True})
    assert found["fits"] is None and found["not_counted"] == ["LoRA adapters"]
    assert judge("llama-3.1-8b", "t4", given={"enable_lora": True})["fits"] is False
    assert judge("llama-3.1-8b", "h100", given={"enable_lora": False})["fits"] is True


def test_files_win_over_the_shape() -> None:
    plain = judge("llama-3.1-8b", "h100")
    for size in (20 * 10**9, 10**9):
        found = judge("llama-3.1-8b", "h100", file_bytes=size)
        assert found["weights_bytes"] == pytest.approx(size, rel=0.04)
        assert found["fits"] is None and "misread" in found["reason"]
    # Layers that predict further tokens lie in the files, and make no other model of it.
    near = judge("llama-3.1-8b", "h100", file_bytes=16_300_000_000)
    assert near["fits"] is True and near["weights_bytes"] > plain["weights_bytes"]


CHEAP = {
    "quantization": "fp8_per_tensor",
    "kv_cache_dtype": "fp8",
    "gpu_memory_utilization": 0.95,
    "max_num_batched_tokens": 1024,
    "max_num_seqs": 128,
    "max_model_len": 8192,
}


@pytest.mark.parametrize("file_bytes", [None, 29_319_014_400, 30_200_000_000])
def test_files_in_full_precision_are_rounded_as_they_load(file_bytes: int | None) -> None:
    """phi-4's files have 29.3 GB, which an L4 never holds: each layer is rounded as it is read."""
    found = judge("phi-4", "l4", given=CHEAP, file_bytes=file_bytes)
    assert found["fits"] is True, found["reason"]
    more = max(1.0, (file_bytes or 0) / 29_319_014_400)
    assert found["weights_bytes"] == pytest.approx(15.7e9 * more, rel=0.01)


def test_files_that_are_quantised_already_are_not_counted_twice() -> None:
    awq = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    plain, sized = (
        judge("llama-3.1-8b", "l4", changes=awq, file_bytes=size)["weights_bytes"]
        for size in (None, 5_730_000_000)
    )
    assert sized == pytest.approx(plain, rel=0.02)


def test_the_fullest_stage_of_a_pipeline_has_a_whole_embedding() -> None:
    """Llama 3.1 70B: 80 layers over four GPUs, and 2.1 GB of embedding on the first and last."""
    found = judge(
        "llama-3.1-70b", "h100", 4, given={"pipeline_parallel_size": 4, "max_model_len": 8192}
    )
    embedding = 128256 * 8192 * 2
    layers = found["weights_bytes"] - 2 * embedding
    assert found["weights_bytes"] == pytest.approx(141.1e9, rel=0.005)
    assert found["per_gpu"]["weights_bytes"] == pytest.approx(layers / 4 + embedding, abs=10)
    # Tied, both ends hold the matrix: two stages take more than half each.
    tied = judge("llama-3.2-1b", "h100", 2, given={"pipeline_parallel_size": 2})
    assert tied["per_gpu"]["weights_bytes"] > 0.6 * tied["weights_bytes"]


@pytest.mark.parametrize(
    ("gpu", "batched", "sequences"),
    [("h100", 8192, 1024), ("l4", 2048, 256), ("nvidia-a100-80gb", 2048, 256), (None, 2048, 128)],
)
def test_batches_are_vllms_defaults(gpu: str | None, batched: int, sequences: int) -> None:
    found = engine_args.resolve({}, shape("llama-3.1-8b"), gpu_table.find(gpu) if gpu else None)
    assert (found.batched, found.sequences) == (batched, sequences)


@pytest.mark.parametrize(
    ("given", "length"),
    [({"max_model_len": "16k"}, 16000), ({"max-model-len": "16K"}, 16384), ({}, None)],
)
def test_lengths_as_vllm_reads_them(given: dict[str, Any], length: int | None) -> None:
    assert engine_args.resolve(given, shape("llama-3.1-8b"), None).max_model_len == length


@pytest.mark.parametrize("name", ["max_model_len", "max_num_seqs", "gpu_memory_utilization"])
def test_a_word_where_a_number_belongs(name: str) -> None:
    with pytest.raises(engine_args.ArgumentError, match=name):
        engine_args.resolve({name: "many"}, shape("llama-3.1-8b"), None)


def choose(name: str, **rest: Any) -> list[dict[str, Any]]:
    given = rest.pop("given", {"max_model_len": 8192})
    return machine_choice.choose(
        shape(name), given, region="us-central1", workload=fit.Workload(), **rest
    )


def test_machine_types_that_fit_come_first_and_cheapest() -> None:
    rows = choose("llama-3.1-8b")
    assert {row["machine_type"] for row in rows} >= set(machine_types.BUNDLED)
    fitting = [row for row in rows if row["fits"]]
    assert rows[: len(fitting)] == fitting
    prices = [row["price_per_hour"] for row in fitting if row["price_per_hour"] is not None]
    assert prices == sorted(prices)
    assert fitting[0]["machine_type"] == "g2-standard-4"
    assert all(row["price_per_hour"] is None for row in fitting[len(prices) :])


def test_a_machine_type_that_is_not_sold_on_demand_has_its_price_on_spot() -> None:
    rows = {row["machine_type"]: row for row in choose("llama-3.1-8b")}
    assert rows["g2-standard-4"]["price_model"] == "STANDARD"
    one = rows["a3-highgpu-1g"]
    assert (one["price_model"], one["price_per_hour"]) == ("SPOT", pytest.approx(4.4245))
    assert rows["a4-highgpu-8g"]["price_model"] == "SPOT"
    said = report._row(one | {"tensor_parallel_size": 1})
    assert "(4.42 USD/h on Spot" in said and said.endswith(", only as SPOT or FLEX_START)")


def test_the_fewest_gpus_that_fit_are_used() -> None:
    rows = {row["machine_type"]: row for row in choose("llama-3.1-70b")}
    assert rows["a3-highgpu-1g"]["fits"] is False
    assert rows["a2-highgpu-2g"]["fits"] is False
    assert rows["a3-highgpu-2g"]["tensor_parallel_size"] == 2
    assert rows["a3-highgpu-8g"]["tensor_parallel_size"] == 2
    asked = choose("llama-3.1-70b", given={"tensor_parallel_size": 8, "max_model_len": 8192})
    assert {row["gpus"] >= 8 for row in asked if row["fits"]} == {True}


def test_gpus_of_a_machine_type() -> None:
    assert machine_types.named_gpus("g2-standard-24", []) == ("nvidia-l4", 2)
    t4 = [{"type": "nvidia-tesla-t4", "count": 2}]
    assert machine_types.named_gpus("n1-standard-8", t4) == ("nvidia-tesla-t4", 2)
    assert machine_types.named_gpus("e2-standard-4", []) is None


def test_every_gpu_that_a_machine_type_brings_is_in_the_table() -> None:
    assert {kind for kind, _ in machine_types.BUNDLED.values()} <= set(gpu_table.GPUS)
