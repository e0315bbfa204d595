# SPDX-License-Identifier: Apache-2.0
"""What decides before memory does: methods, architectures, scales, steps, arguments not counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import quantization
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import fit, machine_choice
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import engine_args, engine_checks

ROOT = Path(__file__).parents[3]
MODELS = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())
ROWS: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/fixtures/plan_refusals.yml").read_text())


def shape(row: dict[str, Any]) -> model_shape.Shape:
    return model_shape.parse(MODELS[row["model"]]["config"] | row.get("changes", {}))


def judge(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    gpu = gpus.find(row.get("gpu", "l4"))
    assert gpu is not None
    return fit.judge(shape(row), row.get("args", {}), gpu, row.get("gpus", 1), **more)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_row(row: dict[str, Any]) -> None:
    found = judge(row, release="0.32.0")
    assert found["fits"] is row["fits"], found["reason"]
    assert row.get("says", "") in found["reason"]


def row(name: str) -> dict[str, Any]:
    return next(one for one in ROWS if one["name"] == name)


def test_what_an_older_release_still_takes() -> None:
    quantised = row("bitsandbytes checkpoint") | {"args": {"max_model_len": 8192}}
    assert judge(quantised, release="0.25.1")["fits"] is True
    # It has no table, so that only what all others take is taken for known.
    unknown = judge(quantised, release="0.14.0")
    assert unknown["fits"] is None and "vLLM 0.14.0" in unknown["reason"]
    # 0.25 does not refine the blocks of experts.
    assert judge(row("experts' FP8 blocks are refined"), release="0.25.1")["fits"] is False


def test_heads_are_checked_against_blocks() -> None:
    """32 heads of 64 over 32 GPUs: 64 a GPU, half a block."""
    small = MODELS["llama-3.2-1b"]["config"] | row("fp8 on fp8")["changes"]
    small["quantization_config"] = small["quantization_config"] | {"weight_block_size": [128, 128]}
    one = model_shape.parse(small)
    gpu = gpus.GPUS["nvidia-h100-80gb"]
    for split, refused in ((1, False), (8, True)):
        engine = engine_args.resolve({"tensor_parallel_size": split}, one, gpu)
        scheme = quantization.of(one.quantization)
        found = engine_checks.problems(engine, one, gpu, split, scheme)
        assert any("can't be split" in text for text in found) is refused


def test_machine_types_are_split_as_scales_allow() -> None:
    one = row("AWQ groups over two GPUs")
    found = {
        line["machine_type"]: line
        for line in machine_choice.choose(
            shape(one), {"max_model_len": 8192}, region="us-central1", workload=fit.Workload()
        )
    }
    # One H100 holds it; on two A100s of 40 GB it would need both, which its groups rule out.
    assert found["a3-highgpu-8g"]["tensor_parallel_size"] == 1
    assert found["a2-highgpu-2g"]["fits"] is False


@pytest.mark.parametrize(
    ("given", "batched", "sequences", "graphs"),
    [
        ({}, 2048, 256, 51),
        ({"performance_mode": "throughput"}, 4096, 512, 51),
        ({"performance_mode": "throughput", "max_num_seqs": 64}, 4096, 64, 19),
        ({"performance_mode": "interactivity"}, 2048, 256, 76),
        ({"cudagraph_capture_sizes": [1, 2, 8, 8, 4096]}, 2048, 256, 3),
        ({"max_num_batched_tokens": 64}, 64, 64, 11),
        ({"max_cudagraph_capture_size": 8}, 2048, 256, 4),
    ],
)
def test_steps_and_graphs_as_vllm_completes_them(
    given: dict[str, Any], batched: int, sequences: int, graphs: int
) -> None:
    one = model_shape.parse(MODELS["llama-3.1-8b"]["config"])
    found = engine_args.resolve(given, one, gpus.find("l4"))
    assert (found.batched, found.sequences, len(found.graphs)) == (batched, sequences, graphs)


def test_larger_steps_of_throughput_mode_take_memory() -> None:
    usual, wide = (
        judge({"model": "llama-3.1-8b", "args": {"max_model_len": 8192} | more})["per_gpu"]
        for more in ({}, {"performance_mode": "throughput"})
    )
    assert wide["activation_bytes"] == 2 * usual["activation_bytes"]


def test_dashes_are_underscores() -> None:
    """Once each: vLLM's own spelling is the one that comes out."""
    given = {"max-model-len": 131072, "--tensor-parallel-size": 1}
    found = judge({"model": "llama-3.1-8b", "args": given})
    assert found["fits"] is False
    assert set(found["vllm_args"]) == {"max_model_len", "tensor_parallel_size"}
    assert found["vllm_args"]["max_model_len"] == found["max_model_len"] < 131072
    rows = machine_choice.choose(
        model_shape.parse(MODELS["llama-3.1-8b"]["config"]),
        {"tensor-parallel-size": 2, "max_model_len": 8192},
        region="us-central1",
        workload=fit.Workload(),
    )
    assert {one["gpus"] > 1 for one in rows if one["fits"]} == {True}
    assert {one["tensor_parallel_size"] for one in rows} == {2}
