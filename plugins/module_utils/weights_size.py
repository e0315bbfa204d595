# SPDX-License-Identifier: Apache-2.0
"""Parameters of a model and the bytes that they take once loaded, in all and on each GPU. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .model_shape import Shape
from .quantization import DTYPE_BYTES, Quantization


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
    layers = len(shape.layers)
    embedding = shape.vocab * shape.hidden * (1 if shape.tied or shape.encoder else 2)
    linear, replicated, small = _attention(shape)
    linear, replicated, small = linear * layers, replicated * layers, small * layers
    experts = 0
    factor = 3 if shape.gated_mlp else 2
    if shape.experts is None:
        linear += layers * factor * shape.hidden * shape.intermediate
    else:
        sparse, one = layers - shape.dense_layers, shape.experts
        linear += shape.dense_layers * factor * shape.hidden * shape.dense_intermediate
        linear += sparse * 3 * shape.hidden * one.shared
        experts = sparse * one.count * 3 * shape.hidden * one.intermediate
        small += sparse * (one.count + one.shared_gated) * shape.hidden
        if one.biased:
            small += sparse * one.count * (1 + 2 * one.intermediate + shape.hidden)
    if shape.mlp_bias:
        small += layers * (shape.intermediate + shape.hidden)
    small += layers * shape.norms * shape.hidden * (2 if shape.encoder else 1)
    small += shape.positions * shape.hidden
    # The last norm; in encoders the one after the embeddings and a dense layer that pools.
    small += shape.hidden * (2 if shape.encoder else 1)
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
    linear = hidden * (queries + 2 * keys) + queries * hidden
    small = (queries + 2 * keys) * shape.qkv_bias + hidden * shape.out_bias
    small += 2 * shape.head_dim * shape.qk_norm + shape.heads * shape.sinks
    return linear, 0, small


def loaded_bytes(
    shape: Shape,
    dtype: str,
    quantization: Quantization | None,
    tensor_parallel: int = 1,
) -> int:
    """Bytes of weights on one GPU of `tensor_parallel`, after loading.

    Beyond the parameters that is: rotary tables, vocabulary padded to 64 a GPU, keys' and values'
    weights that are repeated where there are fewer such heads than GPUs, the experts' padding, and
    for latent attention (MLA) a second copy of what expands the latent vector.
    """
    parts = count(shape)
    each = DTYPE_BYTES[dtype]
    linear = expert = each
    if quantization is not None:
        expert = quantization.linear_bytes
        linear = each if quantization.experts_only else quantization.linear_bytes
    split = parts.embedding * each + parts.linear * linear
    experts = parts.experts * expert
    if quantization is not None and shape.experts is not None:
        to = quantization.pad_experts_to
        experts *= _padded(shape.hidden, to) * _padded(shape.experts.intermediate, to)
    extra = 0.0
    if shape.latent:
        up = shape.latent.kv_rank * shape.heads * (shape.latent.nope_dim + shape.latent.value_dim)
        extra += len(shape.layers) * up * each
    if tensor_parallel > shape.kv_heads and not shape.latent:
        keys = 2 * shape.kv_heads * shape.head_dim * shape.hidden * len(shape.layers) * linear
        extra += keys * (tensor_parallel / shape.kv_heads - 1)
    every = parts.replicated * linear + parts.small * each + rotary_bytes(shape, each)
    return math.ceil((split + experts + extra) / tensor_parallel + every)


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
    """The table of sines and cosines; layers of one kind share it."""
    if shape.positions:
        return 0.0
    dim = shape.latent.rope_dim if shape.latent else shape.head_dim
    return len(set(shape.layers)) * shape.max_length * dim * each


def _padded(size: int, to: int) -> float:
    return math.ceil(size / to) * to / size
