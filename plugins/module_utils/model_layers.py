# SPDX-License-Identifier: Apache-2.0
"""What layers a model has, by its config.json: attention, experts, latent attention. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# `full`, `sliding` or `chunked`.
LayerKind = str

# How often a layer attends to everything, where config.json does not list the layers.
_FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "gpt_oss": 2, "cohere2": 4}


@dataclass(frozen=True)
class Experts:
    """A mixture of experts; `shared` is the intermediate size of what every token passes."""

    count: int
    active: int
    intermediate: int
    shared: int = 0
    shared_gated: bool = False
    biased: bool = False


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (MLA): ranks and head sizes."""

    kv_rank: int
    q_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int


def latent(text: Mapping[str, Any]) -> Latent | None:
    """Its multi-head latent attention; None where it has another."""
    if not text.get("kv_lora_rank"):
        return None
    return Latent(
        kv_rank=int(text["kv_lora_rank"]),
        q_rank=int(text.get("q_lora_rank") or 0),
        rope_dim=int(text.get("qk_rope_head_dim") or 0),
        nope_dim=int(text.get("qk_nope_head_dim") or 0),
        value_dim=int(text.get("v_head_dim") or 0),
    )


def layer_kinds(
    text: Mapping[str, Any], kind: str, layers: int
) -> tuple[tuple[LayerKind, ...], int]:
    """One kind a layer, and the window in tokens (0 where no layer has one)."""
    window = int(text.get("sliding_window") or 0)
    listed = text.get("layer_types")
    if listed:
        names: dict[str, LayerKind] = {
            "sliding_attention": "sliding",
            "chunked_attention": "chunked",
        }
        kinds = tuple(names.get(str(one), "full") for one in listed)
        if "chunked" in kinds:
            window = int(text.get("attention_chunk_size") or window)
        return kinds, window if set(kinds) != {"full"} else 0
    if kind in {"llama4", "llama4_text"}:
        chunk = int(text.get("attention_chunk_size") or 8192)
        every = 4
        return tuple("full" if (i + 1) % every == 0 else "chunked" for i in range(layers)), chunk
    if kind.startswith("qwen"):
        if not text.get("use_sliding_window"):
            return ("full",) * layers, 0
        first = int(text.get("max_window_layers") or layers)
        return tuple("full" if i < first else "sliding" for i in range(layers)), window
    if not window:
        return ("full",) * layers, 0
    every = int(text.get("sliding_window_pattern") or _FULL_EVERY.get(kind, 0))
    if not every:
        return ("sliding",) * layers, window
    return tuple("full" if (i + 1) % every == 0 else "sliding" for i in range(layers)), window


def experts(text: Mapping[str, Any], kind: str, layers: int) -> tuple[Experts | None, int]:
    """The experts, and how many layers have none."""
    count = int(
        text.get("n_routed_experts")
        or text.get("num_local_experts")
        or text.get("num_experts")
        or text.get("moe_num_experts")
        or 0
    )
    if count < 2:
        return None, layers
    each = int(text.get("moe_intermediate_size") or text.get("intermediate_size") or 0)
    shared = int(text.get("shared_expert_intermediate_size") or 0)
    if text.get("n_shared_experts"):
        shared = int(text["n_shared_experts"]) * each
    if kind in {"llama4", "llama4_text"}:
        shared = each
    experts = Experts(
        count=count,
        active=int(text.get("num_experts_per_tok") or text.get("moe_topk") or 1),
        intermediate=each,
        shared=shared,
        shared_gated=bool(text.get("shared_expert_intermediate_size")),
        biased=kind == "gpt_oss",
    )
    if text.get("first_k_dense_replace") is not None:
        first, every = int(text["first_k_dense_replace"]), int(text.get("moe_layer_freq") or 1)
        sparse = sum(1 for i in range(layers) if i >= first and i % every == 0)
    elif text.get("interleave_moe_layer_step"):
        sparse = layers // int(text["interleave_moe_layer_step"])
    else:
        step = int(text.get("decoder_sparse_step") or 1)
        without = set(text.get("mlp_only_layers") or [])
        sparse = sum(1 for i in range(layers) if i not in without and (i + 1) % step == 0)
    return experts, layers - sparse
