# SPDX-License-Identifier: Apache-2.0
"""The tensors that vLLM makes of a model's weights on one GPU, in their order. Pure.

vLLM joins what a layer multiplies with the same input: queries, keys and values; gate and up; all
experts. Only sizes are told here, for what a GPU takes beyond them (`sizing.allocator`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .quantization import DTYPE_BYTES, Quantization
from .shape import Shape


@dataclass(frozen=True)
class Made:
    """A tensor.

    Attributes:
        size: its bytes.
        read: bytes in full precision that are rounded to it; 0 where it is read as it is.
        table: whether it is a table of sines and cosines.
    """

    size: int
    read: int = 0
    table: bool = False


@dataclass(frozen=True)
class _Sizes:
    """Bytes of a number: of any, in a linear layer, in an expert; `rounded` while it is read."""

    each: float
    linear: float
    expert: float
    rounded: bool

    def made(self, numbers: float) -> Made:
        return Made(int(numbers * self.each))

    def layer(self, numbers: float) -> Made:
        read = int(numbers * self.each) if self.rounded else 0
        return Made(int(numbers * self.linear), read)

    def experts(self, numbers: float) -> Made:
        return Made(int(numbers * self.expert))


def of(
    shape: Shape, dtype: str, quantization: Quantization | None, tensor_parallel: int = 1
) -> Iterator[Made]:
    """All tensors of any size, in the order in which vLLM makes them."""
    sizes = _sizes(DTYPE_BYTES[dtype], quantization)
    embedding = sizes.made(shape.vocab * shape.hidden / tensor_parallel)
    yield embedding
    tables = False
    for at, attention in enumerate(shape.layers):
        if shape.states[at]:
            yield from _state(shape, sizes, tensor_parallel)
        if attention:
            yield from map(sizes.layer, _attention(shape, tensor_parallel))
            if not tables:
                yield from _tables(shape, sizes.each)
            tables = True
        yield from _feed(shape, shape.feeds[at], sizes, tensor_parallel)
        yield from [sizes.made(shape.hidden)] * shape.family.norms
    if not shape.tied:
        yield embedding


def _sizes(each: float, quantization: Quantization | None) -> _Sizes:
    if quantization is None:
        return _Sizes(each, each, each, rounded=False)
    # Scales are tensors of their own, and small.
    linear = _packed(quantization.linear_bytes)
    return _Sizes(
        each,
        each if quantization.experts_only else linear,
        _packed(quantization.expert_bytes or quantization.linear_bytes),
        rounded=quantization.while_loading,
    )


def _packed(size: float) -> float:
    return next((one for one in (4.0, 2.0, 1.0, 0.5) if size >= one), size)


def _attention(shape: Shape, split: int) -> list[float]:
    hidden = shape.hidden
    if shape.latent:
        one = shape.latent
        head = one.nope_dim + one.rope_dim
        heads = shape.heads / split
        down = one.kv_rank + one.rope_dim + one.q_rank
        return [
            hidden * down,
            (one.q_rank or hidden) * heads * head,
            one.kv_rank * heads * (one.nope_dim + one.value_dim),
            heads * one.value_dim * hidden,
        ]
    queries = shape.heads * shape.head_dim / split
    keys = max(1, shape.kv_heads // split) * shape.head_dim
    asked = queries * (2 if shape.gated_attention else 1)
    return [hidden * (asked + 2 * keys), hidden * queries]


def _state(shape: Shape, sizes: _Sizes, split: int) -> Iterator[Made]:
    one = shape.state
    if one is None:
        return
    first = min(shape.hidden * one.width, one.linear)
    yield sizes.layer(first / split)
    yield sizes.made(one.small / split)
    yield sizes.layer((one.linear - first) / split)


def _feed(shape: Shape, feed: str, sizes: _Sizes, split: int) -> Iterator[Made]:
    """An MLP or experts."""
    hidden, experts = shape.hidden, shape.experts
    if feed == "dense":
        inner = hidden * shape.dense_intermediate / split
        yield from (sizes.layer(inner * number) for number in (2 if shape.gated_mlp else 1, 1))
    if feed != "moe" or experts is None:
        return
    joined = 2 if shape.family.gated_experts else 1
    if experts.shared:
        inner = hidden * experts.shared / split
        yield from (sizes.layer(inner * number) for number in (joined, 1))
    yield sizes.made(hidden * experts.count)
    inner = experts.count * (experts.width or hidden) * experts.intermediate / split
    yield from (sizes.experts(inner * number) for number in (joined, 1))


def _tables(shape: Shape, each: float) -> Iterator[Made]:
    positions, dim = shape.rotary
    number = max(1, shape.family.rotary)
    for _ in range(number if positions and dim else 0):
        yield Made(int(positions // number * dim * each), table=True)
