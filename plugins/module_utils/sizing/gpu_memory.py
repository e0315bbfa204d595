# SPDX-License-Identifier: Apache-2.0
"""What a model takes of a GPU's memory under vLLM, and what is left for its KV cache. Pure.

vLLM takes a share of the GPU (gpu_memory_utilization), loads the weights, runs one step of the
largest size (`activations`), and gives the cache what is left. The same is added up here. The
constants were fitted to what vLLM counted on an H100: `benchmarks/plan` has the comparison.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..hardware.gpus import GIB, MIB, Gpu
from ..model import quantization, tensors
from ..model import size as weights_size
from ..model.quantization import DTYPE_BYTES, Quantization
from ..model.shape import Shape
from ..model.unknown import Unknown
from ..vllm.engine_args import Engine
from . import activations, kv_cache
from .allocator import Allocator
from .kv_cache import Layout

# What CUDA keeps before vLLM begins, 527 MiB on an H100: a share of memory that leaves less for it
# not available.
CONTEXT = 640 * MIB
# Kernels and libraries that are loaded while the first step runs; 0.225 GiB in each measured run.
NON_TORCH = 231 * MIB
# Communication between GPUs: NCCL on two H200 with NVLink, 467 to 572 MiB with three models.
NON_TORCH_PER_PEER = 480 * MIB
# CUDA graphs: the first, and each further one for each layer, which also holds its outputs.
GRAPH_FIRST = 200 * MIB
GRAPH_PER_LAYER = 40_000
GRAPH_PER_HIDDEN = 34
# What the plan keeps back before it says `fits`: of the GPU's memory, and of what is estimated.
MARGIN_OF_MEMORY = 0.01
MARGIN_OF_ESTIMATE = 0.1
# Files and shape are taken for the same model up to this share of difference: layers that predict
# further tokens lie in the files, and are not loaded.
DISAGREEMENT = 0.05


@dataclass(frozen=True)
class Budget:
    """Bytes on one GPU.

    vLLM 0.25, which the figures were measured with, leaves the engine's tables and most models'
    graphs out when it sizes the cache, and takes them from what its share of the GPU leaves over;
    0.32 counts both, but not all of sampling (`not_seen`). `available` is what the release logs,
    and `fits` rests on `assured`, for which all is counted. `kept_outside` is what is so taken
    beyond the share.
    """

    total: int
    requested: int
    weights: int
    activations: int
    state: int
    graphs: int
    non_torch: int
    graphs_counted: bool = False
    tables_counted: bool = False
    not_seen: int = 0
    kept_outside: int = 0

    @property
    def used(self) -> int:
        """What nvidia-smi shows as used while the server answers, to 5 %."""
        return self.requested + CONTEXT + self.kept_outside

    @property
    def available(self) -> int:
        """What is expected to be left for the KV cache; negative where the model does not load."""
        graphs = self.graphs if self.graphs_counted else 0
        tables = self.state if self.tables_counted else 0
        taken = self.weights + self.activations - self.not_seen + self.non_torch
        return self.requested - taken - graphs - tables

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
        """What the plan relies on."""
        return self.requested - self.weights - self.overhead - self.margin


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
    weights = weight_bytes(shape, engine, scheme, file_bytes, gpu.capability)
    weights += unused_bytes(shape, engine, scheme)
    state = state_bytes(shape, engine)
    graphs = 0 if engine.eager or shape.encoder else graph_bytes(shape, engine)
    later = engine.release not in activations.TWO_RUNNERS
    older = activations.older_runner(shape, engine.release)
    step = activations.peak(shape, engine, scheme)
    not_seen = step - activations.counted(shape, engine, scheme)
    return Budget(
        total=gpu.memory,
        requested=math.ceil(gpu.memory * engine.utilization),
        weights=weights,
        activations=step,
        state=state,
        graphs=graphs,
        non_torch=NON_TORCH + (NON_TORCH_PER_PEER if engine.tensor_parallel > 1 else 0),
        graphs_counted=older or later,
        tables_counted=later,
        not_seen=not_seen,
        kept_outside=not_seen if older or later else state + graphs,
    )


def weight_bytes(
    shape: Shape,
    engine: Engine,
    scheme: Quantization | None,
    file_bytes: int | None,
    capability: float | None = None,
) -> int:
    """Weights on one GPU, of several stages (pipeline parallel) on the fullest.

    Where the checkpoint's files are known, all is scaled to what they hold.
    """
    split = engine.tensor_parallel
    scale = 1.0
    if file_bytes is not None:
        held = _without_second_copy(shape, engine.dtype, file_bytes)
        scale = held / stored_bytes(shape, engine.dtype)
    counted = weights_size.loaded_bytes(
        shape, engine.dtype, scheme, split, capability=capability, scale=scale
    )
    if engine.pipeline_parallel == 1:
        return counted
    return weights_size.of_fullest_stage(
        shape, counted, engine.pipeline_parallel, DTYPE_BYTES[engine.dtype] / split
    )


def unused_bytes(shape: Shape, engine: Engine, scheme: Quantization | None) -> int:
    """What lies unused beside the weights on one GPU, as PyTorch hands memory out."""
    held, used = Allocator(), 0
    for one in tensors.of(shape, engine.dtype, scheme, engine.tensor_parallel):
        used += one.size
        if not one.table:
            read = [held.take(one.read)] if one.read else []
            held.take(one.size)
            held.give(*read)
            continue
        # Angles, sines and cosines, then both in one, all in 32 bits; then the table of them.
        whole = int(one.size * 4 / DTYPE_BYTES[engine.dtype])
        halves = [held.take(whole // 2) for _ in range(3)]
        both = held.take(whole)
        held.give(*halves)
        held.take(one.size)
        held.give(both)
    return (held.held - used) // engine.pipeline_parallel


def stored_bytes(shape: Shape, dtype: str) -> int:
    """What the checkpoint's files hold by its shape and its own scheme, read in a dtype."""
    return weights_size.stored_bytes(shape, dtype, quantization.of(shape.quantization))


def misread(shape: Shape, dtype: str, file_bytes: int | None) -> Unknown | None:
    """That the files are not what the shape says; None where they are, or are not known.

    Where there is an encoder, which the shape does not count, the files may well be larger.
    """
    scheme = quantization.of(shape.quantization)
    if file_bytes is None or (scheme is not None and not scheme.counted):
        return None
    counted = stored_bytes(shape, dtype)
    more = _without_second_copy(shape, dtype, file_bytes) / counted - 1
    if more < -DISAGREEMENT or (more > DISAGREEMENT and not shape.beside):
        return Unknown(
            f"the shape, which is misread: by config.json the weights have {gib(counted)}, and the "
            f"files {gib(file_bytes)}"
        )
    return None


def _without_second_copy(shape: Shape, dtype: str, file_bytes: int) -> int:
    """Files' bytes without an output layer that is stored beside the embedding which it is."""
    once = file_bytes - int(shape.vocab * shape.hidden * DTYPE_BYTES[dtype])
    near = abs(once / stored_bytes(shape, dtype) - 1) <= DISAGREEMENT
    return once if shape.tied and near else file_bytes


def state_bytes(shape: Shape, engine: Engine) -> int:
    """Tables that live as long as the engine: counts for penalties, and block tables."""
    if shape.encoder:
        return 0
    length = engine.max_model_len or shape.max_length
    counts = engine.sequences * shape.vocab * (4 + 1 / 8)
    return math.ceil(counts + engine.sequences * length / kv_cache.DEFAULT_BLOCK * 4)


def graph_bytes(shape: Shape, engine: Engine) -> int:
    """CUDA graphs: one for each batch size and each of two kinds."""
    each = GRAPH_PER_LAYER + GRAPH_PER_HIDDEN * shape.hidden // engine.tensor_parallel
    return GRAPH_FIRST + len(engine.graphs) * 2 * len(shape.layers) * each


def layout(shape: Shape, engine: Engine, gpu: Gpu | None) -> Layout | None:
    """The KV cache's layout on one GPU (None: CPU)."""
    block = engine.block
    if block is None and gpu is None:
        block = kv_cache.CPU_BLOCK
    return kv_cache.layout(
        shape,
        element_bytes(shape, engine),
        batched=engine.batched,
        tensor_parallel=engine.tensor_parallel,
        pipeline_parallel=engine.pipeline_parallel,
        block=block,
        one_kind=engine.one_kind,
        state_each=DTYPE_BYTES.get(engine.state_dtype, DTYPE_BYTES.get(engine.dtype, 2.0)),
        recurrent_each=DTYPE_BYTES.get(engine.recurrent_dtype),
        state_blocks=engine.state_blocks,
    )


def element_bytes(shape: Shape, engine: Engine) -> float:
    """Bytes of one cached number."""
    return kv_cache.element_bytes(engine.kv_cache_dtype, engine.dtype, shape.cache_declared)


def scheme_of(shape: Shape, engine: Engine, release: str = "") -> Quantization | None:
    """The quantisation of the checkpoint, or the one that the engine applies."""
    return quantization.of(shape.quantization, engine.quantization, release)


def gib(number: float) -> str:
    """Bytes for people."""
    return f"{number / GIB:.1f} GiB"
