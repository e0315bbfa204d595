# SPDX-License-Identifier: Apache-2.0
"""What a model takes of a GPU's memory under vLLM, and what is left for its KV cache. Pure.

vLLM takes a share of the GPU (gpu_memory_utilization), loads the weights, runs one step of the
largest size, and gives the cache what is left. The same is added up here. The constants were fitted
to what vLLM counted on an H100: `benchmarks/plan` has the program and the comparison.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import kv_cache, quantization, weights_size
from .engine_args import Engine
from .gpu_table import GIB, MIB, Gpu
from .kv_cache import Layout
from .model_shape import Shape
from .quantization import DTYPE_BYTES, Quantization

# What CUDA keeps before vLLM begins; a share of memory that leaves less for it can't be had.
CONTEXT = 640 * MIB
# Kernels and libraries that are loaded while the first step runs.
NON_TORCH = 300 * MIB
NON_TORCH_PER_PEER = 350 * MIB
# Graphs: what the first takes, and each further one a layer.
GRAPH_FIRST = 200 * MIB
GRAPH_PER_LAYER = 45_000
# What the plan keeps back before it says `fits`: of the GPU's memory, and of what is estimated.
MARGIN_OF_MEMORY = 0.01
MARGIN_OF_ESTIMATE = 0.15


@dataclass(frozen=True)
class Budget:
    """Bytes on one GPU."""

    total: int
    requested: int
    weights: int
    activations: int
    state: int
    graphs: int
    non_torch: int

    @property
    def available(self) -> int:
        """What is expected to be left for the KV cache; negative where the model does not load."""
        return self.requested - self.weights - self.overhead

    @property
    def overhead(self) -> int:
        """All that is estimated rather than counted."""
        return self.activations + self.state + self.graphs + self.non_torch

    @property
    def margin(self) -> int:
        """What is kept back, so that `fits` does not depend on an estimate's last percent."""
        return math.ceil(self.total * MARGIN_OF_MEMORY + self.overhead * MARGIN_OF_ESTIMATE)

    @property
    def assured(self) -> int:
        """What of it the plan relies on."""
        return self.available - self.margin


def budget(
    shape: Shape,
    engine: Engine,
    gpu: Gpu,
    scheme: Quantization | None,
    file_bytes: int | None = None,
) -> Budget:
    """Bytes on each GPU.

    Args:
        file_bytes: the checkpoint's tensors in bytes, in the dtype that they are loaded in.
    """
    weights = weight_bytes(shape, engine, scheme, file_bytes)
    return Budget(
        total=gpu.memory,
        requested=math.ceil(gpu.memory * engine.utilization),
        weights=weights,
        activations=activation_bytes(shape, engine),
        state=state_bytes(shape, engine),
        graphs=0 if engine.eager or shape.encoder else graph_bytes(shape, engine),
        non_torch=NON_TORCH + (NON_TORCH_PER_PEER if engine.tensor_parallel > 1 else 0),
    )


def weight_bytes(
    shape: Shape, engine: Engine, scheme: Quantization | None, file_bytes: int | None
) -> int:
    """Weights on one GPU: the larger of what the shape and what the files say."""
    parallel = engine.tensor_parallel
    counted = weights_size.loaded_bytes(shape, engine.dtype, scheme, parallel)
    if file_bytes is not None:
        whole = weights_size.loaded_bytes(shape, engine.dtype, scheme)
        counted = math.ceil(max(counted, counted * file_bytes / whole))
    return math.ceil(counted / engine.pipeline_parallel)


def activation_bytes(shape: Shape, engine: Engine) -> int:
    """Peak of one step: the widest layer over all its tokens, or the logits of all sequences."""
    each = DTYPE_BYTES[engine.dtype]
    return math.ceil(max(_forward(shape, engine, each), _logits(shape, engine, each)))


def _forward(shape: Shape, engine: Engine, each: float) -> float:
    split = engine.tensor_parallel
    # Gate and up projection and their product; the residual and what is normed beside it.
    dense = (3 if shape.gated_mlp else 2) * shape.intermediate / split
    attention = (shape.heads * 2 + shape.kv_heads * 2) * shape.head_dim / split
    if shape.latent:
        one = shape.latent
        attention = shape.heads * (3 * (one.nope_dim + one.rope_dim) + one.value_dim) / split
    widest = max(dense, attention)
    if shape.experts is not None:
        one_token = 3 * shape.experts.intermediate / split + 2 * shape.hidden
        widest = max(widest, shape.experts.active * one_token)
    return engine.batched * each * (widest + 3 * shape.hidden)


def _logits(shape: Shape, engine: Engine, each: float) -> float:
    if shape.encoder:
        return 0.0
    # As computed, and as float32 for sampling, twice.
    return engine.sequences * shape.vocab * (each + 2 * 4)


def state_bytes(shape: Shape, engine: Engine) -> int:
    """Tables that live as long as the engine: counts for penalties, and block tables."""
    if shape.encoder:
        return 0
    length = engine.max_model_len or shape.max_length
    counts = engine.sequences * shape.vocab * (4 + 1 / 8)
    return math.ceil(counts + engine.sequences * length / kv_cache.DEFAULT_BLOCK * 4)


def graph_bytes(shape: Shape, engine: Engine) -> int:
    """CUDA graphs, as vLLM estimates them."""
    largest = min(engine.sequences * 2, 512, engine.batched)
    sizes = 3 + min(largest, 255) // 8 + max(0, (largest - 240) // 16)
    return GRAPH_FIRST + sizes * 2 * len(shape.layers) * GRAPH_PER_LAYER


def layout(shape: Shape, engine: Engine, gpu: Gpu | None) -> Layout | None:
    """The KV cache's layout on one GPU (None: CPU)."""
    block = engine.block
    if block is None and gpu is None:
        block = kv_cache.CPU_BLOCK
    elif block is None and shape.latent and gpu is not None and gpu.capability in (9.0, 10.0):
        block = kv_cache.LATENT_BLOCK
    return kv_cache.layout(
        shape,
        kv_cache.element_bytes(engine.kv_cache_dtype, engine.dtype),
        batched=engine.batched,
        tensor_parallel=engine.tensor_parallel,
        pipeline_parallel=engine.pipeline_parallel,
        block=block,
        one_kind=engine.one_kind,
    )


def scheme_of(shape: Shape, engine: Engine) -> Quantization | None:
    """The quantisation of the checkpoint, or the one that the engine applies."""
    return quantization.of(shape.quantization, engine.quantization)


def gib(number: float) -> str:
    """Bytes for people."""
    return f"{number / GIB:.1f} GiB"
