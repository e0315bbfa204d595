# SPDX-License-Identifier: Apache-2.0
"""Shapes, sizes of weights and layouts of the KV cache, against published facts of real models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import quantization
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import size as weights_size
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model.shape import Shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import kv_cache

ROOT = Path(__file__).parents[3]
MODELS: dict[str, dict[str, Any]] = json.loads(
    (ROOT / "tests/fixtures/model_configs.json").read_text()
)


def shape(name: str, **changes: Any) -> Shape:
    return model_shape.parse(MODELS[name]["config"] | changes)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_published_weights(name: str) -> None:
    assert weights_size.count(shape(name)).total == MODELS[name]["parameters"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # layers x 2 x key-value heads x head size x 2 bytes
        ("llama-3.1-8b", 32 * 2 * 8 * 128 * 2),
        ("llama-3.1-70b", 80 * 2 * 8 * 128 * 2),
        ("llama-2-7b", 32 * 2 * 32 * 128 * 2),
        ("qwen2.5-0.5b", 24 * 2 * 2 * 64 * 2),
        ("gemma-3-1b", 26 * 2 * 1 * 256 * 2),
        # layers x (latent rank + rotary part) x 2 bytes
        ("deepseek-v2-lite", 27 * (512 + 64) * 2),
        ("deepseek-v3", 61 * (512 + 64) * 2),
        ("bge-base-en-v1.5", 0),
    ],
)
def test_kv_bytes_per_token(name: str, expected: int) -> None:
    assert kv_cache.bytes_per_token(shape(name), 2) == expected


@pytest.mark.parametrize(
    ("name", "split", "share"),
    [
        ("llama-3.1-8b", 4, 4),
        # Two heads on eight GPUs: each holds one, and every head is held four times.
        ("qwen2.5-0.5b", 8, 2),
        # The latent vector is not split.
        ("deepseek-v3", 8, 1),
    ],
)
def test_tensor_parallel_splits_heads_and_nothing_less(name: str, split: int, share: int) -> None:
    whole = kv_cache.bytes_per_token(shape(name), 2)
    assert kv_cache.bytes_per_token(shape(name), 2, split) == whole / share


@pytest.mark.parametrize(
    ("dtype", "each"),
    [("auto", 2.0), ("fp8", 1.0), ("fp8_e4m3", 1.0), ("bfloat16", 2.0), ("nvfp4", 0.5625)],
)
def test_a_cached_number(dtype: str, each: float) -> None:
    assert kv_cache.element_bytes(dtype, "bfloat16") == each


def test_on_a_cpu_float32_is_cached_as_such() -> None:
    assert kv_cache.element_bytes("auto", "float32") == 4.0


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        # Gemma 3 1B: 4 layers see everything, 22 a window of 512: five groups of 4 and one of 2.
        ("gemma-3-1b", ["sliding"] * 6 + ["full"]),
        ("gemma-2-9b", ["sliding", "full"]),
        ("gpt-oss-20b", ["sliding", "full"]),
        ("mistral-7b-v0.1", ["sliding"]),
        ("llama-3.1-8b", ["full"]),
        ("qwen2.5-7b", ["full"]),
    ],
)
def test_groups_of_layers(name: str, groups: list[str]) -> None:
    found = kv_cache.layout(shape(name), 2, batched=8192)
    assert found is not None
    assert list(found.groups) == groups
    assert found.layers * len(groups) >= len(shape(name).layers)


def test_a_window_bounds_what_a_request_takes() -> None:
    found = kv_cache.layout(shape("mistral-7b-v0.1"), 2, batched=2048)
    assert found is not None
    longest = (4096 - 1 + 2048 + 15) // 16 + 1
    assert found.blocks_per_request(32768) == longest
    assert found.blocks_per_request(1024) == 1024 // 16 + 1
    whole = kv_cache.layout(shape("gemma-3-1b"), 2, batched=2048, one_kind=True)
    assert whole is not None and whole.groups == ("full",)


def test_an_encoder_caches_nothing() -> None:
    assert kv_cache.layout(shape("bge-base-en-v1.5"), 2, batched=512) is None


@pytest.mark.parametrize("available", [0, 10**8, 3 * 10**9, 10**12])
def test_the_longest_request_fits_and_one_more_token_does_not(available: int) -> None:
    found = kv_cache.layout(shape("gemma-3-1b"), 2, batched=2048)
    assert found is not None
    longest = found.longest(available, 32768)
    assert longest == 0 or found.request_bytes(longest) <= available
    assert longest == 32768 or found.request_bytes(longest + 1) > available


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 131072),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, 262144),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, 131072),
        (
            {
                "rope_scaling": {"rope_type": "longrope", "factor": 32.0},
                "original_max_position_embeddings": 4096,
            },
            4096,
        ),
        ({"max_position_embeddings": None}, 2048),
    ],
)
def test_the_models_own_length(changes: dict[str, Any], expected: int) -> None:
    assert shape("llama-3.1-8b", **changes).max_length == expected


@pytest.mark.parametrize(
    ("config", "each"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.5 + 2.5 / 128),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 0.5 + 2.5 / 128),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 1.0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 1 + 4 / 16384),
        ({"quant_method": "mxfp4"}, 0.53125),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 0.5625),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 0.5625),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            1.0,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "g": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}
                },
            },
            0.5 + 2 / 128,
        ),
    ],
)
def test_bytes_of_a_quantised_weight(config: dict[str, Any], each: float) -> None:
    found = quantization.of(config)
    assert found is not None and found.linear_bytes == pytest.approx(each)


def test_no_quantisation() -> None:
    assert quantization.of({}) is None
    asked = quantization.of({}, "fp8")
    assert asked is not None and asked.linear_bytes == 1.0


def test_fp8_leaves_embeddings_alone() -> None:
    """The published FP8 Llama 3.1 8B has 9.08 GB of tensors."""
    one = shape("llama-3.1-8b-fp8")
    loaded = weights_size.loaded_bytes(one, "bfloat16", quantization.of(one.quantization))
    table = weights_size.rotary_bytes(one, 2)
    assert loaded - table == pytest.approx(9.08e9, rel=0.002)


def test_gpt_oss_is_quantised_in_its_experts_alone() -> None:
    """Its files have 13.76 GB of tensors; loading pads the experts from 2880 to 3072."""
    one = shape("gpt-oss-20b")
    found = quantization.of(one.quantization)
    assert found is not None
    loaded = weights_size.loaded_bytes(one, "bfloat16", found)
    assert 13.76e9 < loaded < 13.76e9 * 1.12


def test_weights_on_several_gpus() -> None:
    one = shape("llama-3.1-8b")
    table = weights_size.rotary_bytes(one, 2)
    whole, half = (weights_size.loaded_bytes(one, "bfloat16", None, n) - table for n in (1, 2))
    assert half == pytest.approx(whole / 2, rel=0.001)
    # One key-value head for four GPUs: three more copies of it.
    few = shape("gemma-3-1b")
    split = weights_size.loaded_bytes(few, "bfloat16", None, 4)
    assert split > weights_size.loaded_bytes(few, "bfloat16", None) / 4


@pytest.mark.parametrize("missing", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_what_is_missing_is_named(missing: str) -> None:
    config = {k: v for k, v in MODELS["llama-3.1-8b"]["config"].items() if k != missing}
    with pytest.raises(model_shape.ShapeError, match=missing):
        model_shape.parse(config)


def test_what_transformers_fills_in() -> None:
    """Gemma 3 4B's config.json leaves heads and vocabulary out; its text model has 3.88e9."""
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    }
    found = model_shape.parse({"model_type": "gemma3", "text_config": text, "vision_config": {}})
    assert weights_size.count(found).total == 3_880_263_168
    assert found.max_length == 131072 and found.layers.count("full") == 5


def test_what_is_not_counted_is_named() -> None:
    text = MODELS["gemma-3-1b"]["config"]
    seeing = model_shape.parse(
        {"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}}
    )
    assert "images" in seeing.not_counted[0].text
    assert weights_size.count(seeing).total == MODELS["gemma-3-1b"]["parameters"]
    assert shape("llama-3.1-8b", mamba_d_state=128).not_counted
