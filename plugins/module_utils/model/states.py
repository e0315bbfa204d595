# SPDX-License-Identifier: Apache-2.0
"""What a layer without keys and values keeps for each sequence, and its parameters. Pure.

Sizes are those of vLLM's `MambaStateShapeCalculator`, parameters those of transformers' layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config_fields import UnreadableError, fraction, needed, whole


@dataclass(frozen=True)
class State:
    """One layer's state of one sequence, in elements, and the layer's parameters.

    Attributes:
        kind: `mamba1`, `mamba2`, `delta` (gated delta net), `conv`, `lightning`.
        linear: parameters that are split over GPUs and quantised.
        small: the others, in the model's dtype.
        conv: what the convolution keeps, of one GPU; `groups` and `group` are in it for mamba2.
        rows: tokens that the convolution keeps.
        recurrent: what the recurrence keeps.
        heads: what it is split by.
        dtype: of the recurrence; `auto` is the model's.
        width: the widest of the layer's intermediate values, for one token.
    """

    kind: str
    linear: int
    small: int
    conv: int
    rows: int
    recurrent: int
    heads: int
    width: int
    groups: int = 0
    group: int = 0
    dtype: str = "auto"

    def sequence_bytes(self, each: float, recurrent_each: float, split: int = 1) -> int:
        """Bytes of a sequence's state in one layer on one of `split` GPUs.

        Args:
            each: bytes of a number of the convolution's state.
            recurrent_each: of the recurrence's.
        """
        # Groups that can't be split evenly are repeated, so that each head finds its own.
        more = split - self.groups if self.groups and self.groups % split else 0
        conv = (self.conv + more * self.group) // split * self.rows
        return math.ceil(conv * each + self.recurrent // split * recurrent_each)


def of(kind: str, text: Mapping[str, Any], hidden: int, heads: int, head_dim: int) -> State | None:
    """The state of a family's layers (`kind` of model_families); None where it has none.

    Raises:
        ShapeError: config.json lacks one of its sizes.
    """
    readers = {
        "mamba1": _mamba1,
        "mamba2": _mamba2,
        "delta": _delta,
        "conv": _conv,
    }
    if kind == "lightning":
        return _lightning(hidden, heads, head_dim)
    return readers[kind](text, hidden) if kind else None


def _mamba2(text: Mapping[str, Any], hidden: int) -> State:
    heads = needed(text, "mamba_num_heads", "mamba_n_heads", "n_mamba_heads")
    state = needed(text, "ssm_state_size", "mamba_d_state", "mamba_state_dim")
    groups = needed(text, "n_groups", "mamba_n_groups", "mamba_ngroups")
    kernel = needed(text, "conv_kernel", "mamba_d_conv")
    inner = whole(text, "mamba_d_ssm")
    if text.get("mamba_num_heads"):
        inner = heads * needed(text, "mamba_head_dim")
    inner = inner or int(fraction(text, "mamba_expand", 2) * hidden)
    conv = inner + 2 * groups * state
    norm = inner if text.get("mamba_rms_norm") is not False else 0
    return State(
        kind="mamba2",
        linear=hidden * (inner + conv + heads) + inner * hidden,
        small=conv * (kernel + 1) + 3 * heads + norm,
        conv=conv,
        rows=kernel - 1,
        recurrent=inner * state,
        heads=heads,
        width=inner + conv + heads,
        groups=groups,
        group=2 * state,
        dtype=_dtype(text, "float32" if text.get("model_type") == "nemotron_h" else "auto"),
    )


def _mamba1(text: Mapping[str, Any], hidden: int) -> State:
    state, kernel = needed(text, "mamba_d_state"), needed(text, "mamba_d_conv")
    inner = int(fraction(text, "mamba_expand", 2) * hidden)
    rank = text.get("mamba_dt_rank", "auto")
    rank = math.ceil(hidden / 16) if rank == "auto" else whole(text, "mamba_dt_rank")
    return State(
        kind="mamba1",
        linear=hidden * 2 * inner + inner * (2 * rank + 2 * state) + inner * hidden,
        small=inner * (kernel + 3 + state) + rank + 2 * state,
        conv=inner,
        rows=kernel - 1,
        recurrent=inner * state,
        heads=inner,
        width=2 * inner,
        dtype=_dtype(text, "auto"),
    )


def _delta(text: Mapping[str, Any], hidden: int) -> State:
    key_heads = needed(text, "linear_num_key_heads")
    heads = needed(text, "linear_num_value_heads")
    key_dim, value_dim = needed(text, "linear_key_head_dim"), needed(text, "linear_value_head_dim")
    keys, values = key_heads * key_dim, heads * value_dim
    kernel, conv = needed(text, "linear_conv_kernel_dim"), 2 * keys + values
    return State(
        kind="delta",
        linear=hidden * (2 * keys + 2 * values + 2 * heads) + values * hidden,
        small=conv * kernel + 2 * heads + value_dim,
        conv=conv,
        rows=kernel - 1,
        recurrent=heads * value_dim * key_dim,
        heads=heads,
        width=conv + values,
        dtype=_dtype(text, "auto"),
    )


def _conv(text: Mapping[str, Any], hidden: int) -> State:
    kernel = whole(text, "conv_L_cache", default=3)
    bias = 5 * hidden if text.get("conv_bias") else 0
    width = whole(text, "conv_dim", default=hidden)
    return State(
        kind="conv",
        linear=hidden * 3 * hidden + hidden * hidden,
        small=hidden * kernel + bias,
        conv=width,
        rows=kernel - 1,
        recurrent=0,
        heads=width,
        width=3 * hidden,
    )


def _lightning(hidden: int, heads: int, head_dim: int) -> State:
    inner = heads * head_dim
    return State(
        kind="lightning",
        linear=hidden * 4 * inner + inner * hidden,
        small=inner,
        conv=0,
        rows=0,
        recurrent=inner * head_dim,
        heads=heads,
        width=4 * inner,
    )


def _dtype(text: Mapping[str, Any], default: str) -> str:
    for name in ("mamba_ssm_cache_dtype", "mamba_ssm_dtype"):
        value = text.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise UnreadableError(f"config.json's {name} is {value!r}, and no dtype")
        return value.removeprefix("torch.")
    return default
