# SPDX-License-Identifier: Apache-2.0
"""How vLLM lays out its KV cache: groups of layers, pages, blocks, and what they hold. Pure.

vLLM gives all layers pages of one size. Layers of one kind form groups of equal length that share
a pool; a request takes its blocks from every group: a full layer's for all its tokens, a sliding
one's for its window and what one step adds. A layer that keeps a state takes a block or two for
each request, whatever its length: attention's blocks are made so long that a state fits into one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..model.layers import LayerKind
from ..model.shape import Shape

DEFAULT_BLOCK = 16
# Of latent attention beside states.
LATENT_BLOCK = 128
# The group of layers that keep a state.
STATE = "state"
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
        state_blocks: blocks of a request in each group of layers that keep a state.
    """

    groups: tuple[LayerKind, ...]
    layers: int
    page: int
    block: int
    window: int
    batched: int
    state_blocks: int = 0

    @property
    def stateful(self) -> bool:
        """Whether some layers keep a state, of which each sequence takes a block."""
        return STATE in self.groups

    def blocks(self, available: int) -> int:
        """Blocks that `available` bytes hold."""
        return max(0, available) // self.block_bytes()

    def blocks_per_request(self, length: int) -> int:
        """Blocks that a request of `length` tokens takes at most, over all groups."""
        return sum(self._blocks(kind, length) for kind in self.groups)

    def _blocks(self, kind: LayerKind, length: int) -> int:
        if kind == STATE:
            return self.state_blocks
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
        return self.blocks(available) / self.blocks_per_request(length)

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


def element_bytes(kv_cache_dtype: str, dtype: str, declared: str = "") -> float:
    """Bytes of one cached number; `auto` is what the checkpoint declares, or the model's dtype."""
    if kv_cache_dtype == "auto" and declared:
        kv_cache_dtype = declared
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
    return math.ceil(len(shape.attending) * _layer_bytes(shape, each, tensor_parallel))


def state_bytes(
    shape: Shape, each: float, recurrent_each: float | None = None, tensor_parallel: int = 1
) -> int:
    """Bytes of one sequence's state in all layers that keep one, on one GPU.

    Args:
        each: bytes of a number in the model's dtype.
        recurrent_each: of the recurrence, where it is given another.
    """
    return sum(shape.states) * _layer_state(shape, each, recurrent_each, tensor_parallel)


def _layer_state(
    shape: Shape, each: float, recurrent_each: float | None, tensor_parallel: int
) -> int:
    if shape.state is None:
        return 0
    own = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0}.get(shape.state.dtype, each)
    return shape.state.sequence_bytes(each, recurrent_each or own, tensor_parallel)


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
    state_each: float = 2.0,
    recurrent_each: float | None = None,
    state_blocks: int = 1,
) -> Layout | None:
    """The layout on one GPU; None for a model that caches nothing.

    Args:
        each: bytes of one cached number.
        batched: the engine's max_num_batched_tokens.
        one_kind: whether every layer keeps all tokens (disable_hybrid_kv_cache_manager).
        state_each: bytes of a number of a state, `recurrent_each` of its recurrence.
        state_blocks: blocks that a request takes in each group of layers that keep a state.
    """
    there = shape.layers[: math.ceil(len(shape.layers) / pipeline_parallel)]
    kinds = tuple(kind for kind in there if kind)
    states = sum(shape.states[: len(there)])
    if shape.encoder or not (kinds or states):
        return None
    if one_kind and len(set(kinds)) > 1:
        kinds = ("full",) * len(kinds)
    numbers = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    if states:
        numbers[STATE] = states
    least, most = min(numbers.values()), max(numbers.values())
    # Kinds of nearly the same number are padded to the larger; else the smaller divides the others.
    size = most if most < least * 1.5 else least
    groups = tuple(
        kind for kind, number in numbers.items() for _ in range(math.ceil(number / size))
    )
    tokens = block or DEFAULT_BLOCK
    token_bytes = _layer_bytes(shape, each, tensor_parallel) if kinds else 0.0
    page = math.ceil(tokens * token_bytes)
    if states:
        state = _layer_state(shape, state_each, recurrent_each, tensor_parallel)
        if token_bytes:
            step = max(tokens, LATENT_BLOCK) if shape.latent else tokens
            tokens = max(tokens, step * math.ceil(state / (step * token_bytes)))
            page = math.ceil(tokens * token_bytes)
        page = max(page, state)
    return Layout(groups, size, page, tokens, shape.window, batched, state_blocks)
