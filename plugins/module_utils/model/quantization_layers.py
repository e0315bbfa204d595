# SPDX-License-Identifier: Apache-2.0
"""Which layers a checkpoint's quantisation leaves as they were, by listed names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .quantization import Quantization
    from .shape import Shape

# Where models keep their layers, and what they call a layer's parts.
_ROOTS = ("model.layers", "backbone.layers", "model.language_model.layers")
_ATTENTION = ("self_attn", "attention", "mixer", "attn")
_STATE = ("linear_attn", "mamba", "mixer", "conv", "self_attn")
_DENSE = ("mlp", "feed_forward", "mixer")
_EXPERTS = (
    "mlp.experts.0",
    "block_sparse_moe.experts.0",
    "feed_forward.experts.0",
    "mixer.experts.0",
)
_SHARED = ("mlp.shared_expert", "mlp.shared_experts", "mixer.shared_experts", "shared_mlp")


def left_out(shape: Shape, quantization: Quantization) -> tuple[float, float]:
    """Shares of the linear layers' and of the experts' parameters that are not quantised."""
    if not quantization.excluded:
        return 0.0, 0.0
    one = shape.experts
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    factor = 3 if shape.gated_mlp else 2
    sizes = (
        shape.hidden * queries * (2 if shape.gated_attention else 1),
        shape.hidden * keys,
        shape.hidden * queries,
        shape.state.linear if shape.state else 0,
        factor * shape.hidden * shape.dense_intermediate,
        3 * shape.hidden * one.shared if one else 0,
    )
    return _shares(
        shape.layers,
        shape.states,
        shape.feeds,
        sizes,
        quantization.excluded,
        by_substring=quantization.by_substring,
    )


@lru_cache(maxsize=32)
def _shares(
    layers: tuple[str, ...],
    states: tuple[bool, ...],
    feeds: tuple[str, ...],
    sizes: tuple[int, ...],
    excluded: tuple[str, ...],
    *,
    by_substring: bool,
) -> tuple[float, float]:
    query, key, out, state, dense, shared = sizes
    linear = kept = 0
    sparse = kept_sparse = 0
    for at, attention in enumerate(layers):
        parts = [
            *([(_ATTENTION, "q_proj", query), (_ATTENTION, "k_proj", key)] if attention else []),
            *([(_ATTENTION, "v_proj", key), (_ATTENTION, "o_proj", out)] if attention else []),
            *([(_STATE, "in_proj", state)] if states[at] else []),
            *([(_DENSE, "up_proj", dense)] if feeds[at] == "dense" else []),
            *([(_SHARED, "up_proj", shared)] if feeds[at] == "moe" and shared else []),
        ]
        for names, last, size in parts:
            linear += size
            kept += size * _named(at, names, last, excluded, by_substring)
        if feeds[at] == "moe":
            sparse += 1
            kept_sparse += _named(at, _EXPERTS, "up_proj", excluded, by_substring)
    return kept / linear if linear else 0.0, kept_sparse / sparse if sparse else 0.0


def _named(
    at: int, names: tuple[str, ...], last: str, excluded: tuple[str, ...], by_substring: bool
) -> bool:
    return any(
        _matches(module, pattern, by_substring)
        for module in _modules(at, names, last)
        for pattern in excluded
    )


def _modules(at: int, names: tuple[str, ...], last: str) -> Iterator[str]:
    for root in _ROOTS:
        for name in names:
            yield f"{root}.{at}.{name}.{last}"


def _matches(module: str, pattern: str, by_substring: bool) -> bool:
    if pattern.startswith("re:"):
        try:
            return re.match(pattern[3:], module) is not None
        except re.error:
            return False
    if any(sign in pattern for sign in "*?["):
        return fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*")
    if by_substring:
        return pattern in module
    return f".{pattern}." in f".{module}."
