# SPDX-License-Identifier: Apache-2.0
"""What a `model_type` says that config.json leaves out: data, read from transformers and vLLM.

A type that is not in the table is read as a plain decoder, and the plan says that it can't tell.
`tests/integration/modules/test_plan_models.py` counts published configurations of these types with
transformers itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Family:
    """How models of one type are built.

    Attributes:
        gated: whether the MLP has a gate beside its two projections; `gated_experts` the experts'.
        qk_norm: norms of queries and keys: `head` (one a head size), `full` (over all heads).
        norms: norms of the hidden size in each layer.
        tied: whether the output layer is the input embedding where config.json does not say.
        every_window: whether a window in config.json is every layer's.
        full_every: one layer of so many attends to everything, where config.json has a window.
        chunked: whether the other layers attend to chunks.
        state: what layers without attention keep: see model_states.
        state_beside: whether each layer has such a state beside its attention.
        out_unbiased: whether attention_bias leaves the output projection out.
        gated_attention: whether the queries' projection holds a gate of the same size.
        one_part: whether a layer is attention, a state or an MLP, and never two of them.
        rotary: tables of sines and cosines that are held.
        shared_always: whether every token also passes an expert of the experts' size.
        encoder: whether it pools, and caches nothing.
        hidden_kept: hidden states that are held while the MLP computes, as vLLM 0.25's class does.
        interleaved_state: whether a state's projection holds the parts of each head together.
    """

    gated: bool = True
    gated_experts: bool = True
    qkv_bias: bool = False
    out_bias: bool = False
    out_unbiased: bool = False
    mlp_bias: bool = False
    qk_norm: str = ""
    norms: int = 2
    norm_bias: bool = False
    tied: bool = False
    every_window: bool = False
    full_every: int = 0
    chunked: bool = False
    state: str = ""
    state_beside: bool = False
    gated_attention: bool = False
    one_part: bool = False
    rotary: int = 1
    shared_always: bool = False
    sinks: bool = False
    biased_experts: bool = False
    learned_positions: bool = False
    encoder: bool = False
    hidden_kept: int = 4
    interleaved_state: bool = False


_PLAIN = Family()
_BIASED = Family(gated=False, qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True)
_GEMMA = Family(tied=True, norms=4, full_every=6, qk_norm="head", rotary=2, hidden_kept=5)
_ENCODER = Family(
    gated=False, qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, encoder=True
)
_DELTA = Family(qk_norm="head", state="delta", gated_attention=True)
_MAMBA2 = Family(state="mamba2")
FAMILIES: dict[str, Family] = {
    "apertus": Family(gated=False, qk_norm="head"),
    "arcee": Family(gated=False),
    "axk1": _PLAIN,
    "bamba": _MAMBA2,
    "bert": _ENCODER,
    "bloom": replace(_BIASED, tied=True, rotary=0),
    "camembert": _ENCODER,
    "cohere": Family(tied=True, norms=1),
    "cohere2": Family(tied=True, norms=1, full_every=4),
    "cwm": Family(full_every=4),
    "deepseek_v2": _PLAIN,
    "deepseek_v3": _PLAIN,
    "ernie4_5": Family(tied=True),
    "exaone4": Family(qk_norm="head"),
    "falcon": Family(gated=False, tied=True, norms=1, norm_bias=True),
    "falcon_h1": replace(_MAMBA2, state_beside=True, hidden_kept=5),
    "gemma": Family(tied=True),
    "gemma2": Family(tied=True, norms=4, full_every=2, hidden_kept=5),
    "gemma3": _GEMMA,
    "gemma3_text": _GEMMA,
    "glm": Family(hidden_kept=3),
    "glm4": Family(norms=4, hidden_kept=5),
    "glm4_moe": Family(out_unbiased=True),
    "glm4_moe_lite": _PLAIN,
    "gpt2": replace(_BIASED, tied=True, learned_positions=True),
    "gpt_bigcode": replace(_BIASED, tied=True, learned_positions=True),
    "gpt_neox": _BIASED,
    "gpt_oss": Family(
        qkv_bias=True, out_bias=True, full_every=2, sinks=True, biased_experts=True
    ),
    "granite": _PLAIN,
    "granitemoe": _PLAIN,
    "granitemoehybrid": _MAMBA2,
    "jamba": Family(state="mamba1", rotary=0),
    "kimi_k2": _PLAIN,
    "lfm2": Family(tied=True, qk_norm="head", state="conv"),
    "lfm2_moe": Family(tied=True, qk_norm="head", state="conv"),
    "llama": Family(hidden_kept=3),
    "llama4": Family(full_every=4, chunked=True, shared_always=True),
    "llama4_text": Family(full_every=4, chunked=True, shared_always=True),
    "mimo": Family(out_unbiased=True),
    "minimax": Family(state="lightning"),
    "minimax_m2": Family(qk_norm="full"),
    "ministral3": _PLAIN,
    "mistral": Family(every_window=True, hidden_kept=3),
    "mixtral": Family(every_window=True),
    "modernbert": replace(_ENCODER, gated=True, mlp_bias=False, norm_bias=False),
    "nemotron": Family(gated=False, norm_bias=True),
    "nemotron_h": Family(
        gated=False, gated_experts=False, norms=1, state="mamba2", one_part=True, rotary=0,
    ),
    "nomic_bert": _ENCODER,
    "olmo": _PLAIN,
    "olmo2": Family(qk_norm="full", hidden_kept=3),
    "olmo3": Family(qk_norm="full", full_every=4, hidden_kept=3),
    "olmoe": Family(qk_norm="full"),
    "opt": replace(_BIASED, tied=True, learned_positions=True),
    "phi": replace(_BIASED, norms=1),
    "phi3": Family(every_window=True, hidden_kept=3),
    "phi4mm": Family(every_window=True, tied=True, hidden_kept=3),
    "phimoe": replace(_PLAIN, norm_bias=True, every_window=True),
    "qwen2": Family(qkv_bias=True),
    "qwen2_moe": Family(qkv_bias=True),
    "qwen3": Family(qk_norm="head"),
    "qwen3_5": _DELTA,
    "qwen3_5_moe": _DELTA,
    "qwen3_5_moe_text": _DELTA,
    "qwen3_5_text": _DELTA,
    "qwen3_moe": Family(qk_norm="head"),
    "qwen3_next": replace(_DELTA, interleaved_state=True),
    "qwen3_vl_text": Family(qk_norm="head"),
    "qwen3_vl_moe_text": Family(qk_norm="head"),
    "roberta": _ENCODER,
    "seed_oss": Family(out_unbiased=True),
    "smollm3": Family(tied=True),
    "starcoder2": replace(_BIASED, tied=True, every_window=True),
    "xlm-roberta": _ENCODER,
}  # fmt: skip
# What config.json may leave out, as transformers fills it in.
DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma3_text": {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
    "qwen3_next": {"full_attention_interval": 4},
    "qwen3_5_text": {"full_attention_interval": 4},
    "qwen3_5_moe_text": {"full_attention_interval": 4},
}


def of(kind: str) -> Family:
    """The family of a model_type; a plain decoder's where the table has none."""
    return FAMILIES.get(kind, _PLAIN)


def known(kind: str) -> bool:
    """Whether the table has that type."""
    return kind in FAMILIES


def filled(text: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration with what transformers fills in."""
    return DEFAULTS.get(str(text.get("model_type")), {}) | dict(text)
