# SPDX-License-Identifier: Apache-2.0
"""Tuning profiles: the table is whole, what it says can start, and merging is what is promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.llmops.gce_vllm.plugins.filter.profile_args import profile_args
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware.gpus import GPUS
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model.shape import parse
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import (
    engine_args,
    engine_checks,
    profiles,
    quantization_methods,
)

ROOT = Path(__file__).parents[3]
TABLE = yaml.safe_load((ROOT / "roles/llm_server/files/profiles.yml").read_text())
CONFIG = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())["llama-3.1-8b"][
    "config"
]
NAMES = list(TABLE["profiles"])


def test_every_profile_has_every_class_and_every_gpu_a_class() -> None:
    for name, profile in TABLE["profiles"].items():
        assert set(profile["arguments"]) == set(TABLE["classes"]), name
    of_gpu = {gpu: profiles.class_of(TABLE, gpu) for gpu in GPUS}
    assert None not in of_gpu.values(), of_gpu


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gpu", GPUS)
def test_arguments_are_none_that_vllm_refuses_on_that_gpu(name: str, gpu: str) -> None:
    args = profiles.merge(profiles.arguments(TABLE, name, gpu), {})
    shape = parse(CONFIG)
    engine = engine_args.resolve(args, shape, GPUS[gpu])
    assert engine_checks.problems(engine, shape, GPUS[gpu], 1, None) == []
    # fp8 arithmetic came with 8.9; before, Marlin takes weights in fp8 from 8.0, and no KV cache.
    if args.get("kv_cache_dtype") == "fp8":
        assert GPUS[gpu].capability >= 8.9
    if "quantization" in args:
        assert args["quantization"] == "fp8_per_tensor" and GPUS[gpu].capability >= 8.0
        # One name for the locked release and for the one that the H100's figures come from.
        assert all("fp8_per_tensor" in known for known in quantization_methods.METHODS.values())


def test_what_counts_as_measured_lies_in_the_repository() -> None:
    said = [
        one["measured"]
        for profile in TABLE["profiles"].values()
        for args in profile["arguments"].values()
        for one in args.values()
        if "measured" in one
    ]
    assert said and all((ROOT / path).is_file() for path in said)


@pytest.mark.parametrize(
    ("gpu", "accelerators", "expected"),
    [
        ("cpu", [], "cpu"),
        ("g2-standard-8", [], "l4"),
        ("n1-standard-8", [{"type": "nvidia-tesla-t4", "count": 1}], "t4"),
        ("h100", [], "h100"),
        ("NVIDIA H100 80GB HBM3", [], "h100"),
        ("NVIDIA A100-SXM4-40GB", [], "a100"),
        ("Tesla T4", [], "t4"),
        ("NVIDIA L4", [], "l4"),
        ("NVIDIA L40S", [], None),
        ("NVIDIA H200", [], "large"),
        ("", [], None),
    ],
)
def test_class_of_a_gpu(gpu: str, accelerators: list[dict[str, Any]], expected: str | None) -> None:
    assert profiles.class_of(TABLE, gpu, accelerators) == expected


def test_given_arguments_override_one_by_one() -> None:
    given = {"max-num-seqs": 64, "max_model_len": 4096}
    assert profile_args(given, TABLE, "latency", "h100") == {
        "max_num_batched_tokens": 768,
        "max_cudagraph_capture_size": 768,
        "max-num-seqs": 64,
        "max_model_len": 4096,
    }
    assert profile_args({"quantization": None}, TABLE, "cheap", "l4").keys() == (
        TABLE["profiles"]["cheap"]["arguments"]["l4"].keys() - {"quantization"}
    )
    assert profile_args({"x": None}, TABLE, "", "nonsense") == {"x": None}


def test_lines_say_what_was_measured() -> None:
    lines = profile_args({"max_num_seqs": 64}, TABLE, "latency", "h100", explain=True)
    assert [line.split(" (benchmarks/results/")[0] for line in lines] == [
        "max_num_batched_tokens: 768",
        "max_cudagraph_capture_size: 768",
    ]
    lines = profile_args({}, TABLE, "latency", "l4", explain=True)
    assert all(profiles.UNMEASURED in line for line in lines)


@pytest.mark.parametrize(
    ("profile", "gpu", "says"),
    [
        ("fast", "h100", "no profile 'fast'; there are latency, throughput, cheap"),
        ("latency", "NVIDIA L40S", "no arguments for the GPU 'NVIDIA L40S'"),
    ],
)
def test_what_there_is_not_is_refused(profile: str, gpu: str, says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=says):
        profile_args({}, TABLE, profile, gpu)


def test_the_plan_for_the_h100_runs_these_profiles() -> None:
    plan = yaml.safe_load((ROOT / "benchmarks/serving/profiles-h100.yaml").read_text())
    measured = {one["name"]: one.get("engine_args", {}) for one in plan["servers"]}
    assert measured == {"default": {}} | {
        name: profiles.merge(profiles.arguments(TABLE, name, "h100"), {}) for name in NAMES
    }
