# SPDX-License-Identifier: Apache-2.0
"""How many bytes a weight takes under each quantisation, and which GPUs run it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .config_fields import listed, part, whole

# Bytes of a weight with its share of the scales.
MXFP4_BYTES = 4.25 / 8
NVFP4_BYTES = 0.5 + 1 / 16
# Releases that run NVIDIA's FP8 checkpoints where a GPU has units for it, and nowhere else.
_FP8_UNITS_ONLY = frozenset({"0.25.1"})
DTYPE_BYTES = {"float32": 4.0, "float": 4.0, "float16": 2.0, "half": 2.0, "bfloat16": 2.0}


@dataclass(frozen=True)
class Quantization:
    """What is known of a scheme.

    Attributes:
        linear_bytes: bytes of one weight of a linear layer, scales included.
        least_capability: compute capability from which vLLM runs it.
        expert_bytes: of an expert's weight, where it is another; 0 where it is not.
        experts_only: whether only the experts' weights are quantised.
        pad_experts: whether their kernel pads experts while they load.
        group: inputs that share a scale; 0 where all of a row do.
        block: outputs and inputs of a block that shares a scale; empty where there are none.
        counted: whether `linear_bytes` is known.
        excluded: names and patterns of modules that are not quantised.
        by_substring: whether such a name may be any part of a module's.
        while_loading: whether the engine rounds weights in full precision as it reads them.
    """

    name: str
    linear_bytes: float
    least_capability: float
    expert_bytes: float = 0.0
    experts_only: bool = False
    pad_experts: bool = False
    group: int = 0
    block: tuple[int, ...] = ()
    counted: bool = True
    excluded: tuple[str, ...] = ()
    by_substring: bool = False
    while_loading: bool = False


def of(
    config: Mapping[str, Any], asked: str | None = None, release: str = ""
) -> Quantization | None:
    """The scheme in a `quantization_config`, else the one that vLLM is to apply while loading.

    None means weights in the model's dtype. One whose bytes are not known has `counted` false.

    Args:
        release: of vLLM, some of which need a newer GPU; the newest where none is named.
    """
    method = method_of(config)
    if not method:
        found = _applied(asked) if asked else None
        return replace(found, while_loading=True) if found else None
    found = _of_checkpoint(config, method, release)
    return replace(
        found,
        excluded=excluded_by(config),
        by_substring=method.startswith(("awq", "modelopt", "nvfp4")),
    )


def _of_checkpoint(config: Mapping[str, Any], method: str, release: str) -> Quantization:
    if method in {"awq", "gptq", "auto-round", "autoround"} or method.startswith(("awq", "gptq")):
        bits = whole(config, "bits", "w_bit", default=4)
        group = whole(config, "group_size", "q_group_size", default=128)
        # A scale in half precision for each group, and a zero point as wide as a weight.
        extra = (2 + bits / 8) / group if group > 0 else 0.0
        return Quantization(method, bits / 8 + extra, 7.5, group=max(0, group))
    if method in {"mxfp4", "gpt_oss_mxfp4"}:
        return Quantization(method, MXFP4_BYTES, 8.0, experts_only=True, pad_experts=True)
    if method == "bitsandbytes":
        four = bool(config.get("load_in_4bit") or config.get("_load_in_4bit"))
        return Quantization(method, 0.5 + 4 / 64 if four else 1.0, 7.5)
    if method == "compressed-tensors":
        return _compressed(config)
    if method in {"modelopt", "modelopt_fp4", "modelopt_mxfp8", "mxfp8", "nvfp4"}:
        algorithm = str(
            config.get("quant_algo") or part(config, "quantization").get("quant_algo") or method
        ).lower()
        if "mxfp8" in algorithm:
            return Quantization("mxfp8", 1 + 1 / 32, 8.0)
        if "mixed" in algorithm:
            return Quantization("modelopt mixed precision", 1.0, 7.5, counted=False)
        if "fp4" in algorithm:
            return Quantization("nvfp4", NVFP4_BYTES, 7.5)
        return Quantization("modelopt fp8", 1.0, 8.9 if release in _FP8_UNITS_ONLY else 8.0)
    if "fp8" in method:
        block = listed(config, "weight_block_size") or []
        found = _fp8(
            "fp8", tuple(whole({"weight_block_size": one}, "weight_block_size") for one in block)
        )
        least = 8.0 if "fbgemm" in method else found.least_capability
        experts = MXFP4_BYTES if config.get("expert_dtype") in {"fp4", "mxfp4"} else 0.0
        return replace(found, least_capability=least, expert_bytes=experts)
    return Quantization(method, 1.0, 7.5, counted=False)


def excluded_by(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names and patterns of modules that a checkpoint leaves in full precision."""
    inner = part(config, "quantization")
    found: list[str] = []
    for where in (config, inner):
        for name in ("ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules"):
            value = where.get(name)
            if isinstance(value, list):
                found += [str(one) for one in value]
    return tuple(dict.fromkeys(one for one in found if one))


def method_of(config: Mapping[str, Any]) -> str:
    """The method's name as vLLM writes it; empty where weights are not quantised."""
    algorithm = config.get("quant_algo") or part(config, "quantization").get("quant_algo")
    method = str(config.get("quant_method") or ("modelopt" if algorithm else "")).lower()
    return method.replace("compressed_tensors", "compressed-tensors")


def _applied(asked: str) -> Quantization | None:
    """What `quantization` in the engine's arguments makes of weights in full precision.

    They are rounded layer by layer as they are read, so that no more than one layer of them lies on
    the GPU in full precision.
    """
    name = f"{asked} while loading"
    if asked.startswith("fp8"):
        return _fp8(name, (128, 128) if asked == "fp8_per_block" else ())
    if asked == "experts_int8":
        return Quantization(name, 1.0, 8.0, experts_only=True)
    each = {
        "mxfp8": 1 + 1 / 32,
        "nvfp4_per_token": NVFP4_BYTES,
        "bitsandbytes": 0.5 + 4 / 64,
        "int8_per_channel_weight_only": 1.0,
    }
    return Quantization(name, each[asked], 7.5) if asked in each else None


def _fp8(name: str, block: tuple[int, ...] = ()) -> Quantization:
    # Without FP8 units (below 8.9) vLLM keeps the weights as they are and multiplies in 16 bits.
    scale = 4 / (block[0] * block[1]) if len(block) == 2 else 0.0
    return Quantization(name, 1.0 + scale, 7.5, block=block)


def _compressed(config: Mapping[str, Any]) -> Quantization:
    groups = [one for one in part(config, "config_groups").values() if isinstance(one, Mapping)]
    schemes = [_compressed_group(one) for one in groups] or [_fp8("compressed-tensors fp8")]
    # Of several the largest is counted; with the files' sizes the whole is right nevertheless.
    found = max(schemes, key=lambda one: one.linear_bytes)
    least = max(one.least_capability for one in schemes)
    alike = len({one.linear_bytes for one in schemes}) == 1
    return replace(found, least_capability=least, counted=found.counted and alike)


def _compressed_group(group: Mapping[str, Any]) -> Quantization:
    weights, inputs = part(group, "weights"), part(group, "input_activations")
    bits = whole(weights, "num_bits", default=8)
    size = max(0, whole(weights, "group_size"))
    if weights.get("type") == "float":
        if bits == 4 and (size == 32 or "mx" in str(group.get("format") or "")):
            return Quantization("mxfp4", MXFP4_BYTES, 8.0, group=32)
        if bits == 4:
            return Quantization("nvfp4", NVFP4_BYTES, 7.5)
        block = listed(weights, "block_structure") or []
        sizes = tuple(whole({"block_structure": one}, "block_structure") for one in block)
        return _fp8("compressed-tensors fp8", sizes)
    extra = 2 / size if size > 0 else 0.0
    # Integers times FP8 activations run on Hopper alone.
    least = 9.0 if bits == 4 and inputs.get("type") == "float" else 7.5
    return Quantization(f"compressed-tensors int{bits}", bits / 8 + extra, least, group=size)
