# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's allocator gives for tensors of some sizes, while vLLM loads a model. Pure.

It takes memory from CUDA in segments and cuts tensors from them. What is too little to be cut off
stays with a tensor: a layer of 75 MiB takes 76. While it loads, vLLM forbids that what is 20 MiB or
larger is cut (`max_split_size_mb`), so that a tensor may take a block that is 20 MiB too large.
"""

from __future__ import annotations

import bisect
import math

from ..hardware.gpus import MIB

# Tensors are rounded up to so many bytes.
_STEP = 512
# Up to this a tensor is small, and is cut from a segment of 2 MiB.
_SMALL = MIB
_SMALL_SEGMENT = 2 * MIB
# Up to this it is cut from a segment of 20 MiB; a larger one has its own, of whole 2 MiB.
_MIDDLE = 10 * MIB
_MIDDLE_SEGMENT = 20 * MIB
# What is as large is not cut, and nothing that is smaller is put into it.
_WHOLE = 20 * MIB


class Allocator:
    """Blocks that are in use and free; `held` is what those in use take, in bytes."""

    def __init__(self) -> None:
        self.held = 0
        self._free: dict[bool, list[int]] = {True: [], False: []}

    def take(self, size: int) -> int:
        """The size of the block that a tensor gets."""
        size = max(_STEP, math.ceil(size / _STEP) * _STEP)
        small = size <= _SMALL
        free = self._free[small]
        at = bisect.bisect_left(free, size)
        block = free.pop(at) if at < len(free) and _may_take(free[at], size) else _segment(size)
        rest = block - size
        if rest >= _STEP if small else (size < _WHOLE and rest > _SMALL):
            bisect.insort(free, rest)
            block = size
        self.held += block
        return block

    def give(self, *blocks: int) -> None:
        """Free some blocks. They stay with PyTorch, for later tensors."""
        for block in blocks:
            self.held -= block
            bisect.insort(self._free[block <= _SMALL], block)


def _may_take(block: int, size: int) -> bool:
    if size >= _WHOLE:
        return block < size + _WHOLE
    return block < _WHOLE


def _segment(size: int) -> int:
    if size <= _SMALL:
        return _SMALL_SEGMENT
    return _MIDDLE_SEGMENT if size < _MIDDLE else math.ceil(size / (2 * MIB)) * 2 * MIB
