# SPDX-License-Identifier: Apache-2.0
"""Further shapes for an H200, which neither the plan's constants nor its tests knew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import shapes

_PUBLISHED = Path(__file__).parents[2] / "tests" / "fixtures" / "published_configs.json"


def _published(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_PUBLISHED.read_text())[name]["config"]
    return found


CONFIGS: dict[str, dict[str, Any]] = {
    # Its own length, 524288, is more than one H200 holds.
    "seed-oss-36b": {
        "architectures": ["SeedOssForCausalLM"],
        "model_type": "seed_oss",
        "hidden_size": 5120,
        "intermediate_size": 27648,
        "num_hidden_layers": 64,
        "num_attention_heads": 80,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 524288,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000000.0,
        "attention_bias": True,
        "attention_out_bias": False,
        "mlp_bias": False,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "vocab_size": 155136,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    },
    # 8-bit weights of 68 GiB.
    "llama-3.1-70b-fp8": {
        **shapes.CONFIGS["llama-3.1-8b-fp8"],
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
    },
    # Each layer attends and keeps a Mamba 2 state.
    "falcon-h1-7b": {
        "architectures": ["FalconH1ForCausalLM"],
        "model_type": "falcon_h1",
        "hidden_size": 3072,
        "intermediate_size": 12288,
        "num_hidden_layers": 44,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "mamba_d_ssm": 3072,
        "mamba_n_heads": 24,
        "mamba_d_head": 128,
        "mamba_d_state": 256,
        "mamba_n_groups": 1,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "mamba_chunk_size": 256,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
        "mamba_rms_norm": False,
        "mamba_norm_before_gate": False,
        "mlp_bias": False,
        "projectors_bias": False,
        "attention_bias": False,
        "ssm_multipliers": [1.0, 1.0, 1.0, 1.0, 1.0],
        "mlp_multipliers": [1.0, 1.0],
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000000000.0,
        "max_position_embeddings": 262144,
        "tie_word_embeddings": False,
        "vocab_size": 130048,
        "bos_token_id": 1,
        "eos_token_id": 11,
        "torch_dtype": "bfloat16",
    },
    "qwen3-32b": {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": 5120,
        "intermediate_size": 25600,
        "num_hidden_layers": 64,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000,
        "attention_bias": False,
        "use_sliding_window": False,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "vocab_size": 151936,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "torch_dtype": "bfloat16",
    },
    # Two heads of keys for 32 of queries.
    "glm-4-9b": {
        "architectures": ["GlmForCausalLM"],
        "model_type": "glm",
        "hidden_size": 4096,
        "intermediate_size": 13696,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "partial_rotary_factor": 0.5,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1.5625e-07,
        "rope_theta": 10000.0,
        "attention_bias": True,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "pad_token_id": 151329,
        "vocab_size": 151552,
        "eos_token_id": [151329, 151336, 151338],
        "torch_dtype": "bfloat16",
    },
    # Three of four layers have a window of 4096 tokens, and there are no grouped queries.
    "olmo-3-7b": {
        "architectures": ["Olmo3ForCausalLM"],
        "model_type": "olmo3",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 65536,
        "sliding_window": 4096,
        "layer_types": (["sliding_attention"] * 3 + ["full_attention"]) * 8,
        "rms_norm_eps": 1e-6,
        "rope_theta": 500000,
        "attention_bias": False,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "vocab_size": 100278,
        "bos_token_id": 100257,
        "eos_token_id": 100257,
        "torch_dtype": "bfloat16",
    },
    # Six of 52 layers attend, 23 keep a Mamba 2 state, 23 have experts.
    "nemotron-3-nano-30b": _published("nvidia-nemotron-3-nano-30b-a3b-bf16"),
    # Three of four layers keep a gated delta net's state; experts and 8-bit weights.
    "qwen3-next-80b-fp8": _published("qwen3-next-80b-a3b-instruct-fp8"),
}
# As in prepare.py. The shares of the first two are those of a server that has the GPU for itself.
SHAPES = (
    ("seed-oss-36b", 1, 32768, 0.9, 0.0),
    ("llama-3.1-70b-fp8", 1, 32768, 0.75, 0.0),
    ("falcon-h1-7b", 1, 32768, 0.16, 0.0),
    ("qwen3-32b", 1, 32768, 0.5, 0.0),
    ("glm-4-9b", 1, 32768, 0.165, 0.0),
    ("olmo-3-7b", 1, 32768, 0.14, 0.0),
    ("nemotron-3-nano-30b", 1, 32768, 0.45, 0.0),
    ("qwen3-next-80b-fp8", 1, 32768, 0.6, 0.0),
    ("falcon-h1-7b", 2, 32768, 0.09, 0.0),
    ("qwen3-32b", 2, 32768, 0.25, 0.0),
)
