# SPDX-License-Identifier: Apache-2.0
"""Published configurations that are easily misread: what is counted, and what is not asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import config_fields
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import files as model_files
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import plan as plan_report
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import fit, machine_choice
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import engine_args

FIXTURES = Path(__file__).parents[2] / "fixtures"
PUBLISHED: dict[str, Any] = json.loads((FIXTURES / "published_configs.json").read_text())
MODELS: dict[str, Any] = json.loads((FIXTURES / "model_configs.json").read_text())
ROWS: list[dict[str, Any]] = yaml.safe_load((FIXTURES / "plan_models.yml").read_text())
GIB = 1 << 30


def config(row: dict[str, Any]) -> dict[str, Any]:
    if "config" in row:
        return dict(row["config"])
    found = PUBLISHED.get(row["model"]) or MODELS[row["model"]]
    beside = {"quant_method": "modelopt", **found["beside"]} if "beside" in found else None
    return (
        found["config"]
        | ({"quantization_config": beside} if beside else {})
        | row.get("changes", {})
    )


def judge(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    gpu = gpus.find(row.get("gpu", "h100"))
    assert gpu is not None
    return fit.judge(
        model_shape.parse(config(row)),
        row.get("args", {}),
        gpu,
        row.get("gpus", 1),
        workload=fit.Workload(*row.get("workload", ())),
        file_bytes=row.get("files"),
        release="0.32.0",
        **more,
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_model(row: dict[str, Any]) -> None:
    found = judge(row)
    assert found["fits"] is row["fits"], found["reason"]
    assert row.get("says", "") in found["reason"]
    if "gib" in row:
        assert found["weights_bytes"] / GIB == pytest.approx(row["gib"], rel=0.01)
    if "token" in row:
        assert found["kv_bytes_per_token"] == row["token"]
    if "sequence" in row:
        assert found["state_bytes_per_sequence"] == row["sequence"]
    if "length" in row:
        assert found["max_model_len"] == row["length"]
    if "tokens" in row:
        low, high = row["tokens"]
        assert low < found["kv_tokens"] < high


def row(name: str) -> dict[str, Any]:
    return next(one for one in ROWS if one["name"] == name)


def test_the_remedy_for_sequences_is_one() -> None:
    refused = row("sequences beyond the states")
    found = judge(refused)
    remedy = found["vllm_args"]["max_num_seqs"]
    assert f"set max_num_seqs: {remedy}" in found["reason"]
    again = judge(refused | {"args": found["vllm_args"]})
    assert again["fits"] is None and "max_num_seqs" not in again["reason"]


def test_a_cache_of_prefixes_takes_a_second_block_of_state() -> None:
    """vLLM 0.25 keeps no prefixes of such models, 0.32 does."""
    one = row("Nemotron 3 Nano on one H100")
    shape, gpu = model_shape.parse(config(one)), gpus.GPUS["nvidia-h100-80gb"]
    blocks = [
        engine_args.resolve(one["args"] | more, shape, gpu, release=release).state_blocks
        for more, release in (
            ({}, "0.32.0"),
            ({"enable_prefix_caching": False}, "0.32.0"),
            ({}, "0.25.1"),
        )
    ]
    assert blocks == [2, 1, 1]
    with_cache, without = (
        judge(one | {"args": one["args"] | more})["max_concurrency"]
        for more in ({}, {"enable_prefix_caching": False})
    )
    assert with_cache < without


def test_states_are_split_over_gpus() -> None:
    """Groups that can't be split evenly are repeated, so that the state is not quite halved."""
    one, two = (
        judge(
            row("Granite 4 H Small at its length")
            | {"gpus": split, "args": {"tensor_parallel_size": split, "max_num_seqs": 64}}
        )["per_gpu"]["state_bytes_per_sequence"]
        for split in (1, 2)
    )
    assert one / 2 < two < one * 0.51


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_key_value_heads", [8, 4]),
        ("num_attention_heads", {"a": 1}),
        ("hidden_size", "large"),
        ("intermediate_size", [14336] * 32),
        ("num_local_experts", [8, 0]),
        ("head_dim", "auto"),
        ("max_position_embeddings", [1, 2]),
        ("sliding_window", [128, 0]),
        ("vocab_size", 1.5),
        ("rope_scaling", "linear"),
        ("layer_types", "full"),
        ("layer_types", ["full_attention"]),
        ("kv_lora_rank", [1]),
        ("quantization_config", ["awq"]),
        ("architectures", "LlamaForCausalLM"),
    ],
)
def test_a_field_in_another_form_is_named(name: str, value: Any) -> None:
    with pytest.raises(config_fields.UnreadableError, match=name):
        model_shape.parse(MODELS["llama-3.1-8b"]["config"] | {name: value})


def test_experts_by_a_list_of_layers() -> None:
    found = model_shape.parse(PUBLISHED["minimax-m3"]["config"])
    assert found.feeds.count("moe") == 57 and found.dense_layers == 3


def options(gpu: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "m", "gpu": gpu, "gpu_count": 0, "accelerators": [], "vllm_args": {},
        "context": 0, "concurrency": 0, "region": "us-central1", "cpu_kv_cache_gib": 4,
        **more,
    }  # fmt: skip


def plan(tmp_path: Path, name: str, gpu: str, **more: Any) -> dict[str, Any]:
    entry = PUBLISHED.get(name) or MODELS[name]
    (tmp_path / "config.json").write_text(json.dumps(entry["config"]))
    files = model_files.Folder(tmp_path)
    return plan_report.plan(options(gpu, **more), model_files.config(files), files)


def test_more_of_the_machines_own_gpus_are_offered_first(tmp_path: Path) -> None:
    given = {"max_model_len": 8192}
    found = plan(tmp_path, "llama-3.1-70b", "a3-highgpu-8g", vllm_args=given)
    assert found["fits"] is False
    assert ". Set tensor_parallel_size: 2: then it would fit here. It would also" in found["reason"]
    # What was asked for takes them all already.
    more = given | {"tensor_parallel_size": 8, "gpu_memory_utilization": 0.2}
    assert "then" not in plan(tmp_path, "llama-3.1-70b", "a3-highgpu-8g", vllm_args=more)["reason"]


def test_no_machine_type_is_said_of_what_is_known_only(tmp_path: Path) -> None:
    unsure = plan(tmp_path, "qwen3-vl-8b-instruct", "g2-standard-4")
    assert unsure["fits"] is False and "No machine type" not in unsure["reason"]
    assert "It can't be told of " in unsure["reason"]
    assert any("may fit, which can't be told, on " in line for line in plan_report.lines(unsure))
    sure = plan(tmp_path, "llama-3.1-8b", "g2-standard-4", vllm_args={"max_model_len": 200_000})
    assert sure["reason"].endswith("No machine type with these arguments")


def test_a_model_that_does_not_load_holds_nothing(tmp_path: Path) -> None:
    lines = plan_report.lines(plan(tmp_path, "llama-3.1-70b", "a3-highgpu-1g"))
    assert not any("used when serving" in line or "max_model_len 0" in line for line in lines)


def test_a_split_that_fits_is_preferred_to_one_that_cannot_be_told() -> None:
    gpu = gpus.GPUS["nvidia-h100-80gb"]
    shape = model_shape.parse(config(row("Nemotron 3 Nano with the default of sequences")))
    found = machine_choice.best(
        shape, {"max_model_len": 32768}, gpu, 8,
        workload=fit.Workload(), file_bytes=None, release="0.32.0",
    )  # fmt: skip
    assert found["fits"] is True and found["tensor_parallel_size"] == 2


def test_splits_that_heads_allow_are_named() -> None:
    found = judge({"model": "qwen2.5-7b", "gpus": 8, "args": {"tensor_parallel_size": 8}})
    assert "one of 1, 2, 4" in found["reason"]


def test_phi_4_mini_as_it_was_measured_on_an_h200() -> None:
    """vLLM 0.25.1, eager, a share of 0.9: 7.17 GiB of weights and 965,160 tokens were logged."""
    found = fit.judge(
        model_shape.parse(PUBLISHED["phi-4-mini-instruct"]["config"]),
        {"max_model_len": 32768, "enforce_eager": True, "gpu_memory_utilization": 0.9},
        gpus.GPUS["nvidia-h200-141gb"],
        1,
        release="0.25.1",
    )
    assert found["fits"] is True
    assert found["kv_tokens"] == pytest.approx(965_160, rel=0.05)
    assert found["weights_bytes"] / GIB == pytest.approx(7.17, rel=0.01)
