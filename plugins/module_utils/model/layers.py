# SPDX-License-Identifier: Apache-2.0
"""What layers a model has, by its config.json: attention, states, MLPs, experts. Pure.

Only what config.json says of a layer is taken for known. A word, a key or a pattern that is not
read here is named in `unknown`, and counted as what takes most: attention over everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config_fields import UnreadableError, listed, whole
from .families import Family
from .unknown import Unknown

# `full`, `sliding`, `chunked`; empty for a layer without attention.
LayerKind = str


@dataclass(frozen=True)
class Experts:
    """A mixture of experts; `shared` is the intermediate size of what every token passes.

    Attributes:
        width: of what goes into and out of an expert, where it is not the hidden size.
    """

    count: int
    active: int
    intermediate: int
    shared: int = 0
    shared_gated: bool = False
    width: int = 0


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (MLA): ranks and head sizes."""

    kv_rank: int
    q_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int


@dataclass(frozen=True)
class Layers:
    """One entry a layer.

    Attributes:
        attention: kinds of attention.
        states: whether it keeps a state.
        feeds: `dense`, `moe`, or empty for a layer without an MLP.
        window: of sliding or chunked layers, in tokens.
        listed: whether config.json says of each layer what it is.
        unknown: what config.json says of the layers that is not read.
    """

    attention: tuple[LayerKind, ...]
    states: tuple[bool, ...]
    feeds: tuple[str, ...]
    window: int
    listed: bool
    unknown: tuple[Unknown, ...]


# What config.json calls a layer, in `layer_types` and the like: attention, state, MLP.
_WORDS: dict[str, tuple[LayerKind, bool, str]] = {
    "full_attention": ("full", False, "own"),
    "attention": ("full", False, "own"),
    "sliding_attention": ("sliding", False, "own"),
    "chunked_attention": ("chunked", False, "own"),
    "linear_attention": ("", True, "own"),
    "mamba": ("", True, "own"),
    "mamba2": ("", True, "own"),
    "conv": ("", True, "own"),
    "moe": ("", False, "moe"),
    "mlp": ("", False, "dense"),
}
# Nemotron H's letters, one for each layer.
_LETTERS = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}
# A key by such a name says something of the layers.
_LAYOUT = re.compile(
    r"pattern|layer_types?$|layers?_block_types?|block_types?$|block_configs?|_interval$|_period$"
    r"|layers?_freq$|attention_freq$|attn_freq$|moe_freq$|_offset$|_indices$|_idxs$|_layers$|_layer_ids$|_layers_enum$|sparse_step$|_layer_step$"
    r"|kv_shar|share_|^layer_group|sparse_attention|no_attention|skip_attention|attn_type"
)
# Those that are read, here or elsewhere, and those that change neither weights nor cache.
_READ = frozenset(
    [
        "attn_layer_indices",
        "attn_layer_offset",
        "attn_layer_period",
        "attn_type_list",
        "decoder_sparse_step",
        "expert_layer_offset",
        "expert_layer_period",
        "full_attention_interval",
        "full_attn_idxs",
        "hybrid_override_pattern",
        "interleave_moe_layer_step",
        "layer_types",
        "layers_block_type",
        "max_window_layers",
        "mlp_layer_types",
        "mlp_only_layers",
        "moe_layer_freq",
        "moe_layers",
        "n_layers",
        "num_dense_layers",
        "num_hidden_layers",
        "num_layers",
        "sliding_window_pattern",
        "deepstack_visual_indexes",
        "layer_norm_eps",
        "no_rope_layer_interval",
        "no_rope_layers",
        "num_nextn_predict_layers",
        "share_input_output_embed",
        "shared_intermediate_size",
    ]
)


def latent(text: Mapping[str, Any]) -> Latent | None:
    """Its multi-head latent attention; None where it has another."""
    rank = whole(text, "kv_lora_rank")
    if not rank:
        return None
    return Latent(
        kv_rank=rank,
        q_rank=whole(text, "q_lora_rank"),
        rope_dim=whole(text, "qk_rope_head_dim"),
        nope_dim=whole(text, "qk_nope_head_dim"),
        value_dim=whole(text, "v_head_dim"),
    )


def of(text: Mapping[str, Any], kind: str, family: Family, number: int) -> Layers:
    """The layers, as far as config.json tells.

    Raises:
        UnreadableError: a field that says something of them has a form that is not read.
    """
    unknown = list(_unread(text))
    words, window = _words(text, kind, family, number, unknown)
    attention: list[LayerKind] = []
    states: list[bool] = []
    feeds: list[str] = []
    sparse = _sparse(text, number)
    for at, word in enumerate(words):
        if word not in _WORDS:
            unknown.append(Unknown(f"layers of the type {word}"))
        mixer, state, feed = _WORDS.get(word, ("full", False, "own"))
        if state and not family.state:
            unknown.append(Unknown(f"the state of layers of the type {word}"))
        attention.append("full" if family.state_beside else mixer)
        states.append(bool(family.state) and (state or family.state_beside))
        own = "moe" if sparse[at] else "dense"
        feeds.append(("" if family.one_part else own) if feed == "own" else feed)
    kinds = set(attention)
    return Layers(
        attention=tuple(attention),
        states=tuple(states),
        feeds=tuple(feeds),
        window=window if kinds & {"sliding", "chunked"} else 0,
        listed=bool(text.get("layers_block_type") or text.get("layer_types")),
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _words(
    text: Mapping[str, Any], kind: str, family: Family, number: int, unknown: list[Unknown]
) -> tuple[list[str], int]:
    """A word for each layer, and the window."""
    window = whole(text, "sliding_window")
    letters = text.get("hybrid_override_pattern")
    for name in ("layers_block_type", "layer_types"):
        words = listed(text, name, number)
        if words:
            if "chunked_attention" in words:
                window = whole(text, "attention_chunk_size", default=window)
            return [str(one) for one in words], window
    if letters:
        if not isinstance(letters, str) or len(letters) != number:
            raise UnreadableError(
                f"config.json's hybrid_override_pattern does not have one letter for each of "
                f"{number} layers"
            )
        return [_LETTERS.get(one, f"'{one}' of hybrid_override_pattern") for one in letters], 0
    full = _full_layers(text, number)
    if full is not None:
        return ["full_attention" if at in full else "linear_attention" for at in range(number)], 0
    if family.chunked:
        chunk = whole(text, "attention_chunk_size", default=8192)
        return _one_of(family.full_every, number, "chunked_attention"), chunk
    return _windowed(text, kind, family, (number, window), unknown)


def _windowed(
    text: Mapping[str, Any],
    kind: str,
    family: Family,
    size: tuple[int, int],
    unknown: list[Unknown],
) -> tuple[list[str], int]:
    """The same by what config.json says of a window; `size` is layers and window."""
    number, window = size
    if text.get("use_sliding_window") is False or not window:
        return ["full_attention"] * number, 0
    if kind.startswith("qwen"):
        if not text.get("use_sliding_window"):
            return ["full_attention"] * number, 0
        first = whole(text, "max_window_layers", default=number)
        return [
            "full_attention" if at < first else "sliding_attention" for at in range(number)
        ], window
    pattern = text.get("sliding_window_pattern")
    if isinstance(pattern, str):
        return _of_letters(pattern, number), window
    every = whole(text, "sliding_window_pattern", default=family.full_every)
    if every:
        return _one_of(every, number, "sliding_attention"), window
    if family.every_window:
        return ["sliding_attention"] * number, window
    # All of it is counted as attention over everything, which takes most.
    unknown.append(
        Unknown(f"which layers have the window of {window} tokens", adds=False, frees=True)
    )
    return ["full_attention"] * number, 0


def _one_of(every: int, number: int, other: str) -> list[str]:
    return ["full_attention" if (at + 1) % every == 0 else other for at in range(number)]


def _of_letters(pattern: str, number: int) -> list[str]:
    """`LLLG`: L has a window, G attends to everything, and so does the last layer."""
    if not pattern or set(pattern) - {"L", "G"}:
        raise UnreadableError(f"config.json's sliding_window_pattern is {pattern!r}")
    found = [
        "full_attention" if pattern[at % len(pattern)] == "G" else "sliding_attention"
        for at in range(number)
    ]
    return [*found[:-1], "full_attention"]


def _full_layers(text: Mapping[str, Any], number: int) -> set[int] | None:
    """The layers with attention where the others keep a state; None where nothing says so."""
    for name in ("attn_layer_indices", "full_attn_idxs"):
        found = listed(text, name)
        if found:
            return {whole({name: one}, name) for one in found}
    types = listed(text, "attn_type_list", number)
    if types:
        return {
            at for at, one in enumerate(types) if whole({"attn_type_list": one}, "attn_type_list")
        }
    period = whole(text, "attn_layer_period")
    if period:
        offset = whole(text, "attn_layer_offset")
        return {at for at in range(number) if at % period == offset}
    every = whole(text, "full_attention_interval")
    return {at for at in range(number) if (at + 1) % every == 0} if every else None


def _unread(text: Mapping[str, Any]) -> list[Unknown]:
    """Keys that say something of the layers, and are not read."""
    return [
        Unknown(f"what {name} says of the layers")
        for name, value in text.items()
        if _LAYOUT.search(name)
        and name not in _READ
        and not name.startswith(("_", "mtp_", "num_mtp", "nextn_", "output_", "vision_", "index_"))
        and value not in (None, False, 0, 1, "", [], {})
    ]


def experts(text: Mapping[str, Any], family: Family) -> Experts | None:
    """The experts; None where there are none."""
    count = whole(text, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
    if count < 2:
        return None
    each = whole(text, "moe_intermediate_size", "intermediate_size")
    shared = whole(
        text,
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
    )
    number = whole(text, "n_shared_experts", "num_shared_experts")
    if number:
        shared = number * (shared or each)
    if family.shared_always:
        shared = each
    return Experts(
        count=count,
        active=whole(text, "num_experts_per_tok", "moe_topk", "moe_top_k", default=1),
        intermediate=each,
        shared=shared,
        shared_gated=bool(text.get("shared_expert_intermediate_size")),
        width=whole(text, "moe_latent_size"),
    )


def _sparse(text: Mapping[str, Any], number: int) -> list[bool]:
    """Whether each layer's MLP is a mixture of experts, where the model has one at all."""
    if whole(text, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts") < 2:
        return [False] * number
    words = listed(text, "mlp_layer_types", number)
    if words:
        return [str(one) in {"sparse", "moe"} for one in words]
    frequency = text.get("moe_layer_freq")
    if isinstance(frequency, list):
        return [bool(one) for one in listed(text, "moe_layer_freq", number) or []]
    every = whole(text, "moe_layer_freq", default=1)
    if text.get("first_k_dense_replace") is not None:
        first = whole(text, "first_k_dense_replace")
        return [at >= first and at % every == 0 for at in range(number)]
    if text.get("num_dense_layers") is not None:
        first = whole(text, "num_dense_layers")
        return [at >= first for at in range(number)]
    at_all = listed(text, "moe_layers")
    if at_all:
        return [at in at_all for at in range(number)]
    if text.get("interleave_moe_layer_step"):
        step = whole(text, "interleave_moe_layer_step")
        return [(at + 1) % step == 0 for at in range(number)]
    period = whole(text, "expert_layer_period")
    if period:
        offset = whole(text, "expert_layer_offset")
        return [at % period == offset for at in range(number)]
    step = whole(text, "decoder_sparse_step", default=1)
    without = set(listed(text, "mlp_only_layers") or [])
    return [at not in without and (at + 1) % step == 0 for at in range(number)]
