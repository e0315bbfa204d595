# SPDX-License-Identifier: Apache-2.0
"""The most that one step takes of a GPU beside weights and cache. Pure.

vLLM runs a step of the largest size without attention's kernels, then samples for the most
sequences. What it holds at the worst moment is added up here, by reading its layers (0.25.1). It is
what vLLM counted on H100 and H200, to 8 MiB of 1 GiB: `tests/unit/plugins/test_plan_memory.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..hardware.gpus import MIB
from ..model import quantization_layers
from ..model.quantization import DTYPE_BYTES, Quantization
from ..model.shape import Shape
from ..model.states import State
from ..vllm.engine_args import Engine
from . import kv_cache

# cuBLAS's own on Hopper and newer; 8 MiB elsewhere.
LIBRARY = 32 * MIB
# Bytes of a logit beside the model's own: all sequences' in 32 bits. The older model runner has
# their probabilities and noise besides.
SAMPLING = 4
SAMPLING_OLDER = 12
# A row of logits in 32 bits for each multiprocessor of an H100, where the step of the largest size
# also chooses by top-k and top-p: in the older runner, and again since 0.33.
ROWS = 132
_NO_ROWS = frozenset({"0.14.0", "0.21.0", "0.25.1", "0.32.0"})
# Releases that size the cache with logits in the model's own type, and make those in 32 bits later.
_SAMPLE_LATER = frozenset({"0.32.0"})
# Tokens that latent attention expands at once, at most.
EXPANDED = 64 * 1024
# Multiples of what a layer with a state projects, where its layer was not read.
OTHER_STATE_WIDTHS = 2.0
# Compiled, in multiples: of the MLP's size, and of the hidden size. Fitted.
COMPILED_WIDE, COMPILED_BESIDE = 4, 3.6
# Releases that have two model runners, and the mixtures of experts that run in the newer one, as
# all other models do. Later releases run all models in it.
TWO_RUNNERS = frozenset({"0.14.0", "0.21.0", "0.25.1"})
_NEWER_RUNNER = frozenset({"DeepseekV2ForCausalLM", "Qwen2MoeForCausalLM", "GraniteMoeForCausalLM"})


def older_runner(shape: Shape, release: str) -> bool:
    """Whether a release runs the model in its older model runner, as it does those with states."""
    if release not in TWO_RUNNERS:
        return False
    if shape.state is not None:
        return True
    return shape.experts is not None and shape.architecture not in _NEWER_RUNNER


def peak(shape: Shape, engine: Engine, scheme: Quantization | None) -> int:
    """Bytes at the worst moment: in the widest layer, or while sampling."""
    each = DTYPE_BYTES[engine.dtype]
    found = [_widest(shape, engine, scheme, each)]
    if not shape.encoder:
        found.append(_sampling(shape, engine, each))
    return math.ceil(max(found))


def counted(shape: Shape, engine: Engine, scheme: Quantization | None) -> int:
    """What of the peak the release sees when it sizes the cache."""
    if shape.encoder or engine.release not in _SAMPLE_LATER:
        return peak(shape, engine, scheme)
    each = DTYPE_BYTES[engine.dtype]
    later = engine.sequences * shape.vocab * SAMPLING
    return math.ceil(
        max(_widest(shape, engine, scheme, each), _sampling(shape, engine, each) - later)
    )


def _widest(shape: Shape, engine: Engine, scheme: Quantization | None, each: float) -> float:
    step = engine.batched * each
    library = 0 if _needs_no_library(shape, scheme) else LIBRARY
    kept = _experts_bytes(shape, engine, each)
    found = []
    if shape.dense_layers:
        dense = _dense(shape, engine, scheme, each) * step
        # Layers before the first one with experts come before what those keep.
        late = kept and "dense" in shape.feeds[shape.feeds.index("moe") :]
        found.append(dense + (kept if late else 0) + (library if engine.eager else 0))
    more = 0 if engine.eager else shape.hidden
    for mixer in _mixers(shape, engine, scheme, each):
        found.append((mixer + more) * step + _expanded(shape, engine, each) + kept + library)
    if "moe" in shape.feeds:
        found.append((_beside_experts(shape, engine) + more) * step + kept + library)
    return max(found, default=0.0)


def _needs_no_library(shape: Shape, scheme: Quantization | None) -> bool:
    """Whether all products are of 8-bit numbers, which vLLM's own kernels make."""
    plain = shape.experts is None and shape.state is None and not shape.encoder
    if not plain or scheme is None or "fp8" not in scheme.name:
        return False
    return quantization_layers.left_out(shape, scheme) == (0.0, 0.0)


def _dense(shape: Shape, engine: Engine, scheme: Quantization | None, each: float) -> float:
    """An MLP, in numbers for each token: gate and up, their product, hidden states beside."""
    inner = shape.dense_intermediate / engine.tensor_parallel
    wide = 3 if shape.gated_mlp else 2
    if not engine.eager:
        return (COMPILED_WIDE if shape.gated_mlp else 3) * inner + COMPILED_BESIDE * shape.hidden
    # What goes into the second product, once more in 8 bits.
    rounded = inner / each if scheme is not None and "fp8" in scheme.name else 0.0
    if shape.family.hidden_kept == 3:
        rounded = 0.0  # There gate and up are gone by then.
    return wide * inner + rounded + shape.family.hidden_kept * shape.hidden


def _mixers(
    shape: Shape, engine: Engine, scheme: Quantization | None, each: float
) -> Iterator[float]:
    """Attention, and layers with a state, in numbers for each token."""
    split, hidden = engine.tensor_parallel, shape.hidden
    if shape.latent:
        one = shape.latent
        heads = shape.heads / split
        asked = heads * (one.nope_dim + one.rope_dim) + 2 * one.q_rank
        yield asked + 2 * (one.kv_rank + one.rope_dim) + 3 * hidden
    elif shape.attending:
        queries = shape.heads * shape.head_dim / split
        keys = max(1, shape.kv_heads // split) * shape.head_dim
        found: float = 2 * queries + 2 * keys + 3 * hidden
        if shape.gated_attention:
            found += 5 * queries + keys + 2 * hidden
        elif shape.qk_norm:
            found += queries + keys
        yield found
    if shape.state is not None:
        yield _state(shape, shape.state, engine, scheme, each)


def _state(
    shape: Shape, one: State, engine: Engine, scheme: Quantization | None, each: float
) -> float:
    split, hidden = engine.tensor_parallel, shape.hidden
    beside = 2 * hidden if shape.family.one_part else 5 * hidden
    if one.kind == "mamba2":
        wide = one.width - one.conv - one.heads
        return (one.width + 2 * wide + 2 * one.conv) / split + beside
    if one.kind == "delta":
        values = one.width - one.conv
        keys = one.conv - values
        inner: float = keys + 5 * values
        if shape.family.interleaved_state:
            # Each key head's part is copied out, and all are put together again.
            inner = 3 * keys + 7 * values
        if scheme is not None and "fp8" in scheme.name:
            inner += values / each
        return inner / split + 6 * hidden
    return OTHER_STATE_WIDTHS * one.width / split + 5 * hidden


def _expanded(shape: Shape, engine: Engine, each: float) -> float:
    """Latent vectors of earlier tokens of a prompt, expanded to keys and values."""
    if not shape.latent:
        return 0.0
    block = engine.block or kv_cache.DEFAULT_BLOCK
    length = engine.max_model_len or shape.max_length
    sequences = engine.sequences * block
    tokens = max(min(max(8 * length, 4 * sequences), EXPANDED), sequences)
    head = shape.latent.nope_dim + shape.latent.value_dim
    return tokens * shape.heads / engine.tensor_parallel * head * each


def _experts_bytes(shape: Shape, engine: Engine, each: float) -> float:
    """What experts work in: it is kept from the first of their layers on."""
    # Some are configured and in no layer, as where `mlp_only_layers` names all.
    if shape.experts is None or "moe" not in shape.feeds:
        return 0.0
    one = shape.experts
    inner = one.intermediate / engine.tensor_parallel
    joined = inner * (2 if shape.family.gated_experts else 1)
    width = one.width or shape.hidden
    return engine.batched * each * one.active * (max(inner, width) + max(joined, width))


def _beside_experts(shape: Shape, engine: Engine) -> float:
    """In a layer with experts: the shared one, the choice, hidden states."""
    if shape.experts is None:
        return 0.0
    one = shape.experts
    return 3 * one.shared / engine.tensor_parallel + 2 * one.count + 4 * shape.hidden


def _sampling(shape: Shape, engine: Engine, each: float) -> float:
    older = older_runner(shape, engine.release)
    found = engine.sequences * shape.vocab * (each + (SAMPLING_OLDER if older else SAMPLING))
    if older or engine.release not in _NO_ROWS:
        found += ROWS * shape.vocab * 4
    hidden = (engine.batched + 2 * engine.sequences) * shape.hidden * each
    return found + hidden + LIBRARY + _experts_bytes(shape, engine, each)
