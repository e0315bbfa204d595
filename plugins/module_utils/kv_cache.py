# SPDX-License-Identifier: Apache-2.0
"""How vLLM lays out its KV cache: groups of layers, pages, blocks, and what they hold. Pure.

vLLM gives all layers pages of one size. Layers of one kind form groups of equal length that share
a pool; a request takes its blocks from every group: a full layer's for all its tokens, a sliding
one's for its window and what one step adds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .model_layers import LayerKind
from .model_shape import Shape

DEFAULT_BLOCK = 16
CPU_BLOCK = 128


@dataclass(frozen=True)
class Layout:
    """The cache's layout on one GPU.

    Attributes:
        groups: the layers' kind of each group.
        layers: layers a group, padding included.
        page: bytes of one layer's page, which holds `block` tokens.
        window: of sliding or chunked layers, in tokens.
        batched: tokens that one step may add.
    """

    groups: tuple[LayerKind, ...]
    layers: int
    page: int
    block: int
    window: int
    batched: int

    def blocks_per_request(self, length: int) -> int:
        """Blocks that a request of `length` tokens takes at most, over all groups."""
        return sum(self._blocks(kind, length) for kind in self.groups)

    def _blocks(self, kind: LayerKind, length: int) -> int:
        if kind == "full":
            return math.ceil(length / self.block)
        if kind == "chunked":
            return math.ceil(min(self.window + self.batched, length) / self.block)
        # One more, as a window may begin amid a block.
        return math.ceil(min(self.window - 1 + self.batched, length) / self.block) + 1

    def block_bytes(self) -> int:
        """Bytes of one block in all the layers that share its pool."""
        return self.page * self.layers

    def request_bytes(self, length: int) -> int:
        """Bytes that a request of `length` tokens takes at most."""
        return self.blocks_per_request(length) * self.block_bytes()

    def concurrency(self, available: int, length: int) -> float:
        """Requests of `length` tokens that `available` bytes hold at once."""
        blocks = max(0, available) // self.block_bytes()
        return blocks / self.blocks_per_request(length)

    def tokens(self, available: int, length: int) -> int:
        """Tokens that vLLM says its cache holds, for requests of `length` tokens."""
        return int(self.concurrency(available, length) * length)

    def longest(self, available: int, most: int) -> int:
        """The longest request that fits, up to `most` tokens; 0 where none does."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.request_bytes(middle) <= available:
                low = middle
            else:
                high = middle - 1
        return low


def element_bytes(kv_cache_dtype: str, dtype: str) -> float:
    """Bytes of one cached number; `auto` is the model's dtype."""
    if kv_cache_dtype.startswith("fp8") or kv_cache_dtype.startswith("int8"):
        return 1.0
    if kv_cache_dtype == "nvfp4":
        return 0.5 + 1 / 16
    if kv_cache_dtype.startswith("int4"):
        return 0.5
    return 4.0 if (dtype if kv_cache_dtype == "auto" else kv_cache_dtype) == "float32" else 2.0


def bytes_per_token(shape: Shape, each: float, tensor_parallel: int = 1) -> int:
    """Bytes of one token's keys and values in all layers, on one GPU; windows are not considered.

    A latent vector (MLA) is held whole by every GPU, and so is a head that GPUs share.
    """
    return math.ceil(len(shape.layers) * _layer_bytes(shape, each, tensor_parallel))


def _layer_bytes(shape: Shape, each: float, tensor_parallel: int) -> float:
    if shape.encoder:
        return 0.0
    if shape.latent:
        return (shape.latent.kv_rank + shape.latent.rope_dim) * each
    heads = max(1, shape.kv_heads // tensor_parallel)
    return 2 * heads * shape.head_dim * each


def layout(
    shape: Shape,
    each: float,
    *,
    batched: int,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    block: int | None = None,
    one_kind: bool = False,
) -> Layout | None:
    """The layout on one GPU; None for a model that caches nothing.

    Args:
        each: bytes of one cached number.
        batched: the engine's max_num_batched_tokens.
        one_kind: whether every layer keeps all tokens (disable_hybrid_kv_cache_manager).
    """
    if shape.encoder or not shape.layers:
        return None
    kinds = shape.layers[: math.ceil(len(shape.layers) / pipeline_parallel)]
    if one_kind and len(set(kinds)) > 1:
        kinds = ("full",) * len(kinds)
    numbers = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    least, most = min(numbers.values()), max(numbers.values())
    # Kinds of nearly the same number are padded to the larger; else the smaller divides the others.
    size = most if most < least * 1.5 else least
    groups = tuple(
        kind for kind, number in numbers.items() for _ in range(math.ceil(number / size))
    )
    tokens = block or DEFAULT_BLOCK
    page = math.ceil(tokens * _layer_bytes(shape, each, tensor_parallel))
    return Layout(groups, size, page, tokens, shape.window, batched)
