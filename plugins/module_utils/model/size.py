# SPDX-License-Identifier: Apache-2.0
"""Parameters of a model and the bytes that they take once loaded, in all and on each GPU. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import quantization_layers
from .quantization import DTYPE_BYTES, Quantization
from .shape import Shape


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters, by how they are stored and split.

    Attributes:
        embedding: input embedding and, unless tied, the output layer; split over GPUs.
        linear: linear layers of attention and dense MLP; split, quantised.
        experts: the experts' weights; split, quantised.
        replicated: linear layers that every GPU holds whole; quantised where not the experts' gate.
        small: norms, biases, gates and the like; every GPU holds them, in the model's dtype.
    """

    embedding: int
    linear: int
    experts: int
    replicated: int
    small: int

    @property
    def total(self) -> int:
        """All parameters."""
        return self.embedding + self.linear + self.experts + self.replicated + self.small


def count(shape: Shape) -> Parameters:
    """Parameters of a model."""
    embedding = shape.vocab * shape.hidden * (1 if shape.tied or shape.encoder else 2)
    linear = replicated = small = experts = 0
    if shape.attending:
        each = _attention(shape)
        number = len(shape.attending)
        linear, replicated, small = (one * number for one in each)
    if shape.state is not None:
        number = sum(shape.states)
        linear += number * shape.state.linear
        small += number * shape.state.small
    factor = 3 if shape.gated_mlp else 2
    dense = shape.dense_layers
    linear += dense * factor * shape.hidden * shape.dense_intermediate
    if shape.mlp_bias:
        small += dense * (shape.dense_intermediate * (factor - 1) + shape.hidden)
    if shape.experts is not None:
        one, sparse = shape.experts, shape.feeds.count("moe")
        factor = 3 if shape.family.gated_experts else 2
        width = one.width or shape.hidden
        linear += sparse * factor * shape.hidden * one.shared
        experts = sparse * one.count * factor * width * one.intermediate
        if one.width:
            linear += sparse * 2 * shape.hidden * one.width
        small += sparse * (one.count + one.shared_gated) * shape.hidden
        if shape.family.biased_experts:
            small += sparse * one.count * (1 + 2 * one.intermediate + shape.hidden)
    norm = shape.hidden * (2 if shape.encoder or shape.family.norm_bias else 1)
    # The last norm; in encoders the one after the embeddings and a dense layer that pools.
    small += (len(shape.layers) * shape.family.norms + 1) * norm
    small += shape.positions * shape.hidden
    if shape.encoder:
        small += shape.hidden * (shape.hidden + 1)
    return Parameters(embedding, linear, experts, replicated, small)


def _attention(shape: Shape) -> tuple[int, int, int]:
    """Parameters of one layer's attention: split, on every GPU, small."""
    hidden, queries = shape.hidden, shape.heads * shape.head_dim
    if shape.latent:
        one = shape.latent
        head = one.nope_dim + one.rope_dim
        down = hidden * (one.kv_rank + one.rope_dim)
        up = one.kv_rank * shape.heads * (one.nope_dim + one.value_dim)
        if one.q_rank:
            down += hidden * one.q_rank
            query = one.q_rank * shape.heads * head
        else:
            query = hidden * shape.heads * head
        out = shape.heads * one.value_dim * hidden
        return query + up + out, down, one.kv_rank + one.q_rank
    keys = shape.kv_heads * shape.head_dim
    asked = queries * (2 if shape.gated_attention else 1)
    linear = hidden * (asked + 2 * keys) + queries * hidden
    small = (asked + 2 * keys) * shape.qkv_bias + hidden * shape.out_bias
    small += {"head": 2 * shape.head_dim, "full": queries + keys}.get(shape.qk_norm, 0)
    small += shape.heads * shape.sinks
    return linear, 0, small


def stored_bytes(shape: Shape, dtype: str, quantization: Quantization | None) -> int:
    """Bytes of the weights in the checkpoint's files, by the shape."""
    parts = count(shape)
    each = DTYPE_BYTES[dtype]
    linear, experts = _quantised(shape, parts, each, quantization)
    return math.ceil((parts.embedding + parts.small) * each + linear + experts)


def loaded_bytes(
    shape: Shape,
    dtype: str,
    quantization: Quantization | None,
    tensor_parallel: int = 1,
    *,
    capability: float | None = None,
    scale: float = 1.0,
) -> int:
    """Bytes of weights on one GPU of `tensor_parallel`, after loading.

    Beyond the parameters that is: rotary tables, vocabulary padded to 64 a GPU, keys' and values'
    weights that are repeated where there are fewer such heads than GPUs, the experts' padding, and
    of quantised latent attention (MLA) a copy in 16 bits of what expands the latent vector.

    Args:
        capability: the GPU's, by which a kernel is chosen.
        scale: by how much the checkpoint's files are larger than the shape says.
    """
    parts = count(shape)
    each = DTYPE_BYTES[dtype]
    linear, experts = _quantised(shape, parts, each, quantization)
    if quantization is not None and quantization.pad_experts and shape.experts is not None:
        experts *= mxfp4_padding(shape.hidden, shape.experts.intermediate, capability)
    extra = 0.0
    if shape.latent and linear < (parts.linear + parts.replicated) * each:
        up = shape.latent.kv_rank * shape.heads * (shape.latent.nope_dim + shape.latent.value_dim)
        extra += len(shape.attending) * up * each
    one_linear = linear / max(1, parts.linear + parts.replicated)
    if tensor_parallel > shape.kv_heads and not shape.latent:
        keys = 2 * shape.kv_heads * shape.head_dim * shape.hidden * len(shape.attending)
        extra += keys * one_linear * (tensor_parallel / shape.kv_heads - 1)
    replicated = parts.replicated * one_linear
    split = parts.embedding * each + linear - replicated + experts
    every = replicated + parts.small * each
    return math.ceil(
        scale * (split / tensor_parallel + every)
        + extra / tensor_parallel
        + rotary_bytes(shape, each)
    )


def _quantised(
    shape: Shape, parts: Parameters, each: float, quantization: Quantization | None
) -> tuple[float, float]:
    """Bytes of the linear layers and of the experts; what the scheme leaves out is as it was."""
    linear = float(parts.linear + parts.replicated)
    if quantization is None:
        return linear * each, parts.experts * each
    left_linear, left_experts = quantization_layers.left_out(shape, quantization)
    if quantization.experts_only:
        left_linear = 1.0
    one, expert = quantization.linear_bytes, quantization.expert_bytes or quantization.linear_bytes
    return (
        linear * (left_linear * each + (1 - left_linear) * one),
        parts.experts * (left_experts * each + (1 - left_experts) * expert),
    )


def mxfp4_padding(hidden: int, intermediate: int, capability: float | None) -> float:
    """By how much experts in MXFP4 grow as their kernel pads them.

    Hopper's Triton kernel pads what is summed over to 256 (64.38 GiB of gpt-oss-120b were logged),
    the others 128 and 256 (65.97 GiB were logged of Marlin).
    """
    if capability is not None and int(capability) == 9:
        return (2 * _padded(hidden, 256) + _padded(intermediate, 256)) / 3
    return _padded(hidden, 256) * _padded(intermediate, 128)


def of_fullest_stage(shape: Shape, loaded: int, stages: int, each: float) -> int:
    """Bytes of the fullest of several stages, of which each has its share of the layers.

    The first stage has the input embedding besides and the last one the output layer; tied, both
    have the same matrix.

    Args:
        loaded: bytes of the whole model.
        each: bytes of one number of an embedding, on one GPU.
    """
    matrix = shape.vocab * shape.hidden * each
    layers = len(shape.layers)
    matrices = 1 if shape.tied or shape.encoder else 2
    share = math.ceil(layers / stages) / max(1, layers)
    return math.ceil((loaded - matrices * matrix) * share + matrix)


def rotary_bytes(shape: Shape, each: float) -> float:
    """The tables of sines and cosines, which layers share."""
    positions, dim = shape.rotary
    return float(positions * dim * each)


def _padded(size: int, to: int) -> float:
    return math.ceil(size / to) * to / size
