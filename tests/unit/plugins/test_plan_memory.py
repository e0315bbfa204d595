# SPDX-License-Identifier: Apache-2.0
"""What vLLM took of an H100 and an H200 in each part, and what the plan has for it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware.gpus import MIB
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import quantization
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import (
    activations,
    fit,
    gpu_memory,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing.allocator import Allocator
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import engine_args

from tests.unit.plugins import measured_runs, test_plan_h200

H100 = [
    (f"h100-{run['run']}-{run['model']}", measured_runs.MODELS[run["model"]]["config"], run)
    for name in ("h100.jsonl", "h100-held-out.jsonl")
    for run in measured_runs.runs(name)
]
RUNS = [
    (name, config, run)
    for name, config, run in [*H100, *test_plan_h200.MEASURED_RUNS]
    if "peak_activation_memory" in run
]
#: MiB: its tables for a scaled length are made in a way of their own; scales of experts.
WEIGHTS_OFF = {"gemma-3-4b": 29, "qwen3-30b-a3b-fp8": 12}
#: MiB that the first start took more, which compiled its kernels.
FIRST_START = {"5-falcon-h1-1.5b": 73}
#: MiB: with graphs but not compiled, which the plan can't tell from compiled.
GRAPHS_ALONE = {"falcon-h1-1.5b": 33}


def engine_of(config: dict[str, Any], run: dict[str, Any]) -> tuple[Any, Any, Any]:
    given = {name: one for name, one in run["arguments"].items() if name != "compilation_config"}
    shape = model_shape.parse(config)
    engine = engine_args.resolve(given, shape, gpus.GPUS["nvidia-h100-80gb"], release="0.25.1")
    return shape, engine, gpu_memory.scheme_of(shape, engine, "0.25.1")


@pytest.mark.parametrize(("name", "config", "run"), RUNS, ids=[one[0] for one in RUNS])
def test_weights_as_they_lie_on_the_gpu(
    name: str, config: dict[str, Any], run: dict[str, Any]
) -> None:
    shape, engine, scheme = engine_of(config, run)
    found = gpu_memory.weight_bytes(shape, engine, scheme, None, 9.0)
    found += gpu_memory.unused_bytes(shape, engine, scheme)
    off = WEIGHTS_OFF.get(run["model"], 3) * MIB
    assert found == pytest.approx(run["weights_memory"], abs=off)


@pytest.mark.parametrize(("name", "config", "run"), RUNS, ids=[one[0] for one in RUNS])
def test_the_peak_of_a_step(name: str, config: dict[str, Any], run: dict[str, Any]) -> None:
    shape, engine, scheme = engine_of(config, run)
    off = FIRST_START.get(name, 4)
    if "compilation_config" in run["arguments"]:
        off = GRAPHS_ALONE[run["model"]]
    found = activations.peak(shape, engine, scheme)
    assert found == pytest.approx(run["peak_activation_memory"], abs=off * MIB)


@pytest.mark.parametrize(
    ("mib", "takes"),
    [
        ([75], 76),  # A segment has whole 2 MiB, and 1 MiB is too little to cut off.
        ([32, 32, 32], 96),
        ([9, 9, 9], 27),  # Two are cut from a segment of 20 MiB, the third from another.
        ([9, 10.5], 20),  # It is put where the first left room for all but half a MiB.
        ([0.5, 0.5, 0.5], 1.5),
        ([12.5], 12.5),
        ([19], 20),
    ],
)
def test_what_tensors_take(mib: list[float], takes: float) -> None:
    held = Allocator()
    for one in mib:
        held.take(int(one * MIB))
    assert held.held == takes * MIB


@pytest.mark.parametrize(
    ("free", "wanted", "takes"),
    [
        (64, 48, 64),  # Not cut, as it is 20 MiB or larger.
        (70, 48, 48),  # 20 MiB too large: it is left alone.
        (64, 12, 12),  # Nothing smaller is put into one of 20 MiB.
    ],
)
def test_a_block_that_is_free_again(free: int, wanted: int, takes: int) -> None:
    held = Allocator()
    held.give(held.take(free * MIB))
    assert held.take(wanted * MIB) == takes * MIB


def test_the_copy_of_latent_attention_is_of_quantised_weights() -> None:
    config = measured_runs.MODELS["deepseek-v2-lite"]["config"]
    plain = model_shape.parse(config)
    eight = model_shape.parse(config | {"quantization_config": {"quant_method": "fp8"}})
    copy = 27 * 512 * 16 * 256 * 2
    extra = []
    for shape in (plain, eight):
        scheme = quantization.of(shape.quantization)
        loaded = gpu_memory.weights_size.loaded_bytes(shape, "bfloat16", scheme)
        stored = gpu_memory.stored_bytes(shape, "bfloat16")
        extra.append(loaded - stored - gpu_memory.weights_size.rotary_bytes(shape, 2))
    assert extra == pytest.approx([0, copy], abs=2)


def test_experts_keep_what_they_work_in() -> None:
    """Ten experts a token, of 512 for 2048: 640 MiB for 8192 tokens, in a step and after it."""
    config = test_plan_h200.runs("h200-more.json", "h200-more.jsonl")
    one = next(one[1] for one in config if one[2]["model"] == "qwen3-next-80b-fp8")
    given = {"max_model_len": 32768, "max_num_seqs": 256, "enforce_eager": True}
    gpu = gpus.GPUS["nvidia-h200-141gb"]
    narrow, wide = (
        fit.judge(model_shape.parse(one | {"num_experts_per_tok": active}), given, gpu, 1)
        for active in (5, 10)
    )
    more = wide["per_gpu"]["activation_bytes"] - narrow["per_gpu"]["activation_bytes"]
    assert more == 320 * MIB


def test_experts_that_no_layer_has_take_nothing() -> None:
    """As qwen2-moe with `mlp_only_layers`: what is configured of experts is not used."""
    config = measured_runs.MODELS["qwen1.5-moe-a2.7b"]["config"]
    dense = config | {"mlp_only_layers": list(range(config["num_hidden_layers"]))}
    gpu = gpus.GPUS["nvidia-h100-80gb"]
    peaks = []
    for active in (2, 8):
        shape = model_shape.parse(dense | {"num_experts_per_tok": active})
        assert shape.experts is not None and "moe" not in shape.feeds
        engine = engine_args.resolve({"enforce_eager": True}, shape, gpu, release="0.25.1")
        peaks.append(activations.peak(shape, engine, None))
    assert peaks[0] == peaks[1] > 0


def test_what_each_release_counts_when_it_sizes_the_cache() -> None:
    shape = model_shape.parse(measured_runs.MODELS["qwen2.5-0.5b"]["config"])
    gpu = gpus.GPUS["nvidia-h100-80gb"]
    old, middle, new = (
        gpu_memory.budget(shape, engine_args.resolve({}, shape, gpu, release=release), gpu, None)
        for release in ("0.25.1", "0.32.0", "0.33.0")
    )
    # 0.25 counts neither tables nor graphs, the later ones both.
    assert old.available - new.available == pytest.approx(
        new.state + new.graphs + activations.ROWS * shape.vocab * 4, abs=2
    )
    # 0.32 makes logits in 32 bits later, and takes them from what its share leaves over.
    assert middle.not_seen == middle.kept_outside > 0 == new.not_seen == new.kept_outside
    assert middle.available > new.available
    assert middle.assured < middle.available - middle.not_seen


def test_the_model_runner_by_release() -> None:
    hybrid = model_shape.parse(
        next(one[1] for one in RUNS if one[2]["model"] == "nemotron-3-nano-30b")
    )
    experts = model_shape.parse(measured_runs.MODELS["qwen3-30b-a3b"]["config"])
    dense = model_shape.parse(measured_runs.MODELS["llama-3.1-8b"]["config"])
    found = [
        [activations.older_runner(shape, release) for shape in (hybrid, experts, dense)]
        for release in ("0.25.1", "0.32.0", "0.33.0")
    ]
    assert found == [[True, True, False], [False] * 3, [False] * 3]
